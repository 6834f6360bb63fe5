-- Renews the lease of a node, removes the tickets of nodes whose lease has lapsed, and answers what
-- the live ones count.
-- KEYS: those of queue.lua, then counts, hash of node to what it counts. ARGV: node, life of a lease in milliseconds,
-- this node's counts, most tickets to remove.
-- Answers the counts of the other live nodes.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', NODES, ARGV[1], now + ARGV[2])
redis.call('HSET', KEYS[6], ARGV[1], ARGV[3])
local budget, others = tonumber(ARGV[4]), {}
local leases = redis.call('HGETALL', NODES)
for i = 1, #leases, 2 do
  local node, ends = leases[i], tonumber(leases[i + 1])
  if ends > now then
    if node ~= ARGV[1] then
      local counts = redis.call('HGET', KEYS[6], node)
      if counts then others[#others + 1] = counts end
    end
  else
    redis.call('HDEL', KEYS[6], node)
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
return others
