-- Removes the place of a user who has left, unless another node has it by now.
-- KEYS: place. ARGV: node.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
