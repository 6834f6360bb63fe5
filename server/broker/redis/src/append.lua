-- Action Append: gives a message the next position of its chat, unless it has one.
-- KEYS: meta, ids, log, nodes. ARGV: epoch, sender's id with member in front, time, message, most
-- messages, most entries of the log, this node.
-- Returns {verdict, nodes that follow, details of the verdict}.
local here = memory()
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'memory')
if meta[1] ~= ARGV[1] or meta[3] ~= here then return { 'none', {}, { here } } end
-- The field '' is there as long as the key is. Without the key (evicted, or deleted by hand) a message that
-- was sent before would get a second position: such a log counts as missing.
local ids = redis.call('HMGET', KEYS[2], '', ARGV[2])
if not ids[1] then return { 'none', {}, { here } } end
if redis.call('SADD', KEYS[4], ARGV[7]) == 1 then
  redis.call('PEXPIRE', KEYS[4], redis.call('PTTL', KEYS[1]))
end
local nodes = redis.call('SMEMBERS', KEYS[4])
local known = ids[2]
if known then
  local epoch, seq, at = string.match(known, '^(%d+) (%d+) (%d+)$')
  return { 'again', nodes, { seq, epoch, at } }
end
if tonumber(meta[2]) >= tonumber(ARGV[5]) then return { 'full', nodes, {} } end
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
redis.call('HSET', KEYS[2], ARGV[2], ARGV[1] .. ' ' .. seq .. ' ' .. ARGV[3])
redis.call('XADD', KEYS[3], 'MAXLEN', ARGV[6], ARGV[1] .. '-' .. seq, 'm', ARGV[4])
if redis.call('XLEN', KEYS[3]) == 1 then
  redis.call('PEXPIRE', KEYS[3], redis.call('PTTL', KEYS[1]))
end
return { 'new', nodes, { tostring(seq), ARGV[1], ARGV[3] } }
