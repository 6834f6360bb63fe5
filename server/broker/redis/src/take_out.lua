-- Takes the ticket of a user out, whichever node has entered it. ARGV: user. Returns the ticket.
local id = redis.call('HGET', USERS, ARGV[1])
local ticket = id and remove(id)
return ticket and ticket[TEXT]
