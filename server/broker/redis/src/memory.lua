-- Which memory this is: the replication id of the master, another one after each restart and failover.
local function memory()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end
