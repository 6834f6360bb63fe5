-- Leaves what is missing on a shelf, drops what has expired, and returns the bytes of all that is there.
-- KEYS: shelf, hash of name to expiry in milliseconds, ':' and bytes. ARGV: most entries, then for each
-- one its name, its life in milliseconds, its bytes.
-- Returns nil, and leaves nothing more, when the shelf is full.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most, known, count, last, answer = tonumber(ARGV[1]), {}, 0, 0, {}
local function show(name, ends, bytes)
  known[name], count, last = true, count + 1, math.max(last, ends)
  answer[count] = bytes
end
local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
  local at = string.find(held[i + 1], ':', 1, true)
  local ends = at and tonumber(string.sub(held[i + 1], 1, at - 1)) or 0
  if ends > now then
    show(held[i], ends, string.sub(held[i + 1], at + 1))
  else
    redis.call('HDEL', KEYS[1], held[i])
  end
end
local is_full = false
for i = 2, #ARGV, 3 do
  if not known[ARGV[i]] then
    if count >= most then
      is_full = true
      break
    end
    local ends = now + tonumber(ARGV[i + 1])
    redis.call('HSET', KEYS[1], ARGV[i], string.format('%.0f:', ends) .. ARGV[i + 2])
    show(ARGV[i], ends, ARGV[i + 2])
  end
end
if last > now then redis.call('PEXPIRE', KEYS[1], last - now) end
if is_full then return false end
return answer
