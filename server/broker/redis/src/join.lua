-- Takes the best waiting ticket out for a new one, or lets the new one wait. ARGV: now, most
-- tickets, ticket.
local now, me = tonumber(ARGV[1]), ticket_from(3, 0)
local older = redis.call('HGET', USERS, me[USER])
if older then remove(older) end
remove(me[ID])
local found, passed = search(me, now)
if found then return { 'offer', take(found, passed)[TEXT] } end
if redis.call('HLEN', TICKETS) >= tonumber(ARGV[2]) then return { 'full' } end
insert(me)
return { 'waiting' }
