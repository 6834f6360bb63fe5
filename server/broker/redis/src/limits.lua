-- Takes one unit by the generic cell rate algorithm; see nowrong-core's limiter: this is the same
-- arithmetic in microseconds (a Lua number is exact up to 2^53).
-- Time is that of this server alone: nodes whose clocks differ share these numbers.
-- KEYS: when the burst is fully restored. ARGV: one unit, the whole burst, in microseconds.
-- Returns 0 when granted, otherwise the wait in microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local unit, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local held = tonumber(redis.call('GET', KEYS[1]) or '0')
-- More than a burst is never owed: it was written before this clock went back, and means nothing now.
if held > now + burst + 1000000 then held = 0 end
local owed_until = math.max(now, math.min(held, now + burst))
local full_at = owed_until + unit
local wait = full_at - (now + burst)
if wait <= 0 then
  local ttl = math.ceil((full_at - now) / 1000) + 1000
  redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', ttl)
  return 0
end
return wait
