-- Gives a message the next position of its chat, unless it has one.
-- KEYS: meta, ids, log. ARGV: epoch, sender's id with member in front, time, message, most messages,
-- most entries of the log.
-- Answers {verdict, seq, epoch, time}.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return { 'none' } end
local known = redis.call('HGET', KEYS[2], ARGV[2])
if known then
  local epoch, seq, at = string.match(known, '^(%d+) (%d+) (%d+)$')
  return { 'again', seq, epoch, at }
end
if tonumber(redis.call('HGET', KEYS[1], 'seq')) >= tonumber(ARGV[5]) then return { 'full' } end
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
redis.call('HSET', KEYS[2], ARGV[2], ARGV[1] .. ' ' .. seq .. ' ' .. ARGV[3])
redis.call('XADD', KEYS[3], 'MAXLEN', ARGV[6], ARGV[1] .. '-' .. seq, 'm', ARGV[4])
if redis.call('XLEN', KEYS[3]) == 1 then
  redis.call('PEXPIRE', KEYS[3], redis.call('PTTL', KEYS[1]))
end
return { 'new', seq, ARGV[1], ARGV[3] }
