-- Opens the log of a chat, unless one of the same or a newer epoch is open.
-- KEYS: meta, ids, log. ARGV: epoch, base, life in milliseconds, then for each message that the store
-- has: sender's id with member in front, and 'epoch seq time'.
local open = redis.call('HGET', KEYS[1], 'epoch')
if open and tonumber(open) >= tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
-- The field keeps the key, and with it its end, before the first message comes.
redis.call('HSET', KEYS[2], '', '')
for i = 4, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
