-- The time of the server that judges leases, in milliseconds. KEYS: one of its keys.
local time = redis.call('TIME')
return time[1] * 1000 + math.floor(time[2] / 1000)
