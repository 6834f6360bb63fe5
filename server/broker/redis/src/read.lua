-- Action CheckLog: reads on in the log of a chat.
-- KEYS: meta, log, nodes. ARGV: epoch, after, most messages, this node.
-- Returns {'none', memory, {}, {}} when there is no log of this epoch in this memory, otherwise
-- {'log', newest seq, nodes that follow, {seq, message, seq, message…}}.
local here = memory()
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'memory')
if meta[1] ~= ARGV[1] or meta[3] ~= here then return { 'none', here, {}, {} } end
if redis.call('SADD', KEYS[3], ARGV[4]) == 1 then
  redis.call('PEXPIRE', KEYS[3], redis.call('PTTL', KEYS[1]))
end
local from = ARGV[1] .. '-' .. string.format('%.0f', ARGV[2] + 1)
local entries = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', ARGV[3])) do
  entries[#entries + 1] = string.match(entry[1], '-(%d+)$')
  entries[#entries + 1] = entry[2][2]
end
return { 'log', meta[2], redis.call('SMEMBERS', KEYS[3]), entries }
