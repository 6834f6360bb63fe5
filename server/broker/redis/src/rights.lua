-- Runs each command that a node uses, and returns those that its user may not run, each once, in this order.
-- KEYS: one that holds a text and ends by itself, one that does not exist.
-- A command that finds the wrong kind of value, or nothing, has passed the check of rights.
local text, none = KEYS[1], KEYS[2]
local uses = {
  { 'SET', text, '1', 'PX', '1000' },
  { 'PING' },
  { 'INFO', 'server' },
  { 'TIME' },
  { 'GET', text },
  { 'GETDEL', none },
  { 'DEL', none },
  { 'EXISTS', none },
  { 'PEXPIRE', none, '1' },
  { 'PTTL', none },
  { 'HGET', text, '1' },
  { 'HSET', text, '1', '1' },
  { 'HMGET', text, '1' },
  { 'HGETALL', text },
  { 'HLEN', text },
  { 'HDEL', text, '1' },
  { 'HEXISTS', text, '1' },
  { 'HINCRBY', text, '1', '1' },
  { 'SADD', text, '1' },
  { 'SREM', text, '1' },
  { 'SMEMBERS', text },
  { 'XADD', text, '*', '1', '1' },
  { 'XLEN', text },
  { 'XRANGE', text, '-', '+' },
  { 'XREAD', 'STREAMS', text, '0' },
  { 'ZADD', text, '0', '1' },
  { 'ZREM', text, '1' },
  { 'ZRANGEBYLEX', text, '-', '+' },
  { 'UNLINK', text },
}
local missing = {}
for _, use in ipairs(uses) do
  local reply = redis.pcall(unpack(use))
  local refusal = type(reply) == 'table' and reply.err or ''
  -- Redis 7.0 says the one, later versions the other; of a key that may not be used both speak otherwise.
  if string.find(refusal, "can't run this command", 1, true) or string.find(refusal, 'permissions to run', 1, true) then
    table.insert(missing, use[1])
  end
end
return missing
