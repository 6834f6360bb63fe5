-- Takes a ticket out of matching, or back in. ARGV: id, 1 or 0. Returns the ticket.
local ticket = load(ARGV[1])
if not ticket then return false end
local is_paused = tonumber(ARGV[2])
if ticket[PAUSED] ~= is_paused then
  ticket[PAUSED] = is_paused
  save(ticket)
  if is_paused == 1 then unlist(ticket) else list(ticket) end
end
return ticket[TEXT]
