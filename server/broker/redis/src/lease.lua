-- Renews the lease of a node, removes the tickets of nodes whose lease has expired, and returns the
-- data that the live nodes published.
-- KEYS: those of queue.lua, then told, hash of node to its published data, and store, the identity of
-- the store that the nodes share. ARGV: node, life of a lease in milliseconds, data of this node, most
-- tickets to remove, life of the keys in milliseconds, the identity of this node's store.
-- Returns {1 if this node's own lease had expired, node, its data, node…} with the other nodes; or
-- {'other', the identity of their store} while nodes with another store are alive, and does nothing.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local store = redis.call('GET', KEYS[8])
if store and store ~= ARGV[6] then
  local held = redis.call('HGETALL', NODES)
  for i = 1, #held, 2 do
    if held[i] ~= ARGV[1] and tonumber(held[i + 1]) > now then return { 'other', store } end
  end
  -- Whoever left this is gone, and its tickets mean nothing in another store.
  redis.call('UNLINK', LINES, TICKETS, USERS, NODES, WAITING, KEYS[7])
end
redis.call('SET', KEYS[8], ARGV[6])
local had_until = tonumber(redis.call('HGET', NODES, ARGV[1]) or '0')
redis.call('HSET', NODES, ARGV[1], now + ARGV[2])
redis.call('HSET', KEYS[7], ARGV[1], ARGV[3])
local budget, answer = tonumber(ARGV[4]), { had_until > now and '0' or '1' }
local leases = redis.call('HGETALL', NODES)
for i = 1, #leases, 2 do
  local node, ends = leases[i], tonumber(leases[i + 1])
  if ends > now then
    local told = node ~= ARGV[1] and redis.call('HGET', KEYS[7], node)
    if told then
      answer[#answer + 1] = node
      answer[#answer + 1] = told
    end
  else
    redis.call('HDEL', KEYS[7], node)
    local from = line('n', node)
    local left = redis.call('ZRANGEBYLEX', LINES, '[' .. from, '[' .. from .. '\255', 'LIMIT', 0, budget)
    for _, member in ipairs(left) do
      remove(string.sub(member, #from + 1))
      redis.call('ZREM', LINES, member)
    end
    budget = budget - #left
    if budget > 0 then redis.call('HDEL', NODES, node) end
  end
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[5]) end
return answer
