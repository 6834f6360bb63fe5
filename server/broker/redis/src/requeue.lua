-- Puts back a ticket whose offer failed: next in line. ARGV: most tickets, ticket.
local me = ticket_from(2, BYPASSES_MAX)
if redis.call('HEXISTS', USERS, me[USER]) == 1 then return 1 end
if redis.call('HEXISTS', TICKETS, me[ID]) == 1 then return 1 end
if redis.call('HLEN', TICKETS) >= tonumber(ARGV[1]) then return 0 end
insert(me)
return 1
