-- Action Seed: opens the log of a chat, if this is the memory that the seed names (none for the first
-- epoch of a new chat) and it has no log of this or a newer epoch. Remains of another memory are
-- removed.
-- KEYS: meta, ids, log, nodes. ARGV: epoch, base, life in milliseconds, memory, this node, then for each
-- message that survives: sender's id with member in front, and 'epoch seq time'.
local here = memory()
if ARGV[4] ~= '' and ARGV[4] ~= here then return 0 end
local open = redis.call('HMGET', KEYS[1], 'epoch', 'memory')
if open[2] == here and tonumber(open[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', ARGV[2], 'memory', here)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
-- The field keeps the key, and with it its expiry, until the first message comes, and shows append.lua
-- that the key is still there.
redis.call('HSET', KEYS[2], '', '')
for i = 6, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
-- Nodes that followed the chat still do, and this node follows it from now on: the next follower
-- must learn of it.
redis.call('SADD', KEYS[4], ARGV[5])
redis.call('PEXPIRE', KEYS[4], ARGV[3])
return 1
