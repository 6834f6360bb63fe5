-- Keeps the inbox of a node alive. If it has disappeared, was filled on another master, or other
-- nodes considered the node dead, it starts again with a number that its reader does not expect.
-- KEYS: inbox. ARGV: life in milliseconds, number to begin with, memory as the node knows it, 1 to
-- start again in any case.
-- Returns the memory.
local here = memory()
local is_whole = ARGV[3] == here and ARGV[4] == '0' and redis.call('EXISTS', KEYS[1]) == 1
if not is_whole then
  redis.call('DEL', KEYS[1])
  redis.call('XADD', KEYS[1], '1-' .. ARGV[2], 'm', '')
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return here
