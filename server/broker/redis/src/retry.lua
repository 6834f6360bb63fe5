-- Tries again for a waiting ticket. ARGV: now, id. Returns nothing when it does not wait, the
-- ticket, or the ticket and its partner, both out of the queue.
local me = load(ARGV[2])
if not me or me[PAUSED] == 1 then return {} end
local before = table.concat(me[CURSORS], '\0')
local found, passed = search(me, tonumber(ARGV[1]))
if found then
  local partner = take(found, passed)
  remove(me[ID])
  return { me[TEXT], partner[TEXT] }
end
if table.concat(me[CURSORS], '\0') ~= before then save(me) end
return { me[TEXT] }
