-- Identifies this memory: the replication id of the master, which changes with each restart and
-- failover.
local function memory()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end
