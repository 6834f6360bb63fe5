-- Shared code of the queue's scripts: how a ticket is stored, and the search for its best partner.
-- The rules are those of nowrong-core's matching; see there for the reasons.
--
-- KEYS: lines    sorted set of members '<line>\0<place>': every line a ticket stands in, in one set, so
--                that all keys can be declared. A place is the time since when, then the id.
--       tickets  hash, id to record
--       users    hash, user to id of the ticket: one each
--       nodes    hash, node to the end of its lease
--       waiting  hash, category to count
--       memory   the memory in which the queue was filled (rule BindQueueToMaster): in another one it
--                is empty, whatever is left of it
local LINES, TICKETS, USERS, NODES, WAITING = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

local here = memory()
if redis.call('GET', KEYS[6]) ~= here then
  redis.call('UNLINK', LINES, TICKETS, USERS, WAITING)
  redis.call('SET', KEYS[6], here)
end

-- The fields of a record.
local SINCE, ID, USER, CATEGORY, BRACKET, LANGUAGE, INTERESTS = 1, 2, 3, 4, 5, 6, 7
local BLOCKED, RECENT, BYPASSES, PAUSED, NODE, TEXT, CURSORS = 8, 9, 10, 11, 12, 13, 14
local NEW_ACCOUNT = 15 -- 1 or 0; a node of an earlier version leaves it out

local WIDENING_MS = { 3000, 8000, 15000 }
local BYPASSES_MAX = 4
local LOOK_MAX = 128 -- candidates that one scan looks at
local FRONT_MAX = 8 -- acceptable candidates of equal rank that a scan notes

local function line(...) return table.concat({ ... }, '\0') .. '\0' end

local function place(ticket) return string.format('%015.0f', ticket[SINCE]) .. ticket[ID] end

local function load(id)
  local record = redis.call('HGET', TICKETS, id)
  return record and cmsgpack.unpack(record)
end

local function save(ticket) redis.call('HSET', TICKETS, ticket[ID], cmsgpack.pack(ticket)) end

-- The lines that a ticket is in, as matching walks them.
local function lines_of(t)
  local lines = {
    line('e', t[CATEGORY], t[BRACKET]),
    line(#t[INTERESTS] == 0 and 'o' or 'a', t[CATEGORY], t[BRACKET], t[LANGUAGE]),
  }
  for _, interest in ipairs(t[INTERESTS]) do
    lines[#lines + 1] = line('l', t[CATEGORY], t[BRACKET], t[LANGUAGE], interest)
    lines[#lines + 1] = line('i', t[CATEGORY], t[BRACKET], interest)
  end
  return lines
end

local function list(ticket)
  local at = place(ticket)
  for _, l in ipairs(lines_of(ticket)) do redis.call('ZADD', LINES, 0, l .. at) end
  redis.call('HINCRBY', WAITING, ticket[CATEGORY], 1)
end

local function unlist(ticket)
  local at = place(ticket)
  for _, l in ipairs(lines_of(ticket)) do redis.call('ZREM', LINES, l .. at) end
  if redis.call('HINCRBY', WAITING, ticket[CATEGORY], -1) <= 0 then
    redis.call('HDEL', WAITING, ticket[CATEGORY])
  end
end

local function insert(ticket)
  save(ticket)
  redis.call('HSET', USERS, ticket[USER], ticket[ID])
  redis.call('ZADD', LINES, 0, line('n', ticket[NODE]) .. ticket[ID])
  list(ticket)
end

-- Takes a ticket out for good and returns it.
local function remove(id)
  local ticket = load(id)
  if not ticket then return false end
  redis.call('HDEL', TICKETS, id)
  if redis.call('HGET', USERS, ticket[USER]) == id then redis.call('HDEL', USERS, ticket[USER]) end
  redis.call('ZREM', LINES, line('n', ticket[NODE]) .. id)
  if ticket[PAUSED] == 0 then unlist(ticket) end
  return ticket
end

local function rank(ticket, now)
  local waited, reached = now - ticket[SINCE], 0
  for _, after in ipairs(WIDENING_MS) do
    if waited >= after then reached = reached + 1 end
  end
  return reached
end

-- Whether `a` is of a new account and still waits for another one.
local function waits_for_new(a, b, now)
  return a[NEW_ACCOUNT] == 1 and b[NEW_ACCOUNT] ~= 1 and rank(a, now) < 1
end

-- Whether a user is in a list of ids of 16 bytes each.
local function holds(ids, user)
  local from = 1
  while true do
    local at = string.find(ids, user, from, true)
    if not at then return false end
    if at % 16 == 1 then return true end
    from = at + 1
  end
end

local function shared(a, b)
  local count = 0
  for _, mine in ipairs(a[INTERESTS]) do
    for _, other in ipairs(b[INTERESTS]) do
      if mine == other then
        count = count + 1
        break
      end
    end
  end
  return count
end

-- Walks several lines as one, in order of places, after a cursor: returns at most LOOK_MAX places,
-- and the cursor to continue from, '' when all were seen. A range is {line, newest since}.
local function walk(ranges, cursor)
  local places, seen, last = {}, {}, nil
  for _, range in ipairs(ranges) do
    local prefix = range[1]
    local from = cursor == '' and '[' .. prefix or '(' .. prefix .. cursor
    local newest = range[2] and string.format('%015.0f', range[2]) or ''
    local members = redis.call('ZRANGEBYLEX', LINES, from, '[' .. prefix .. newest .. '\255', 'LIMIT', 0, LOOK_MAX)
    for _, member in ipairs(members) do
      local at = string.sub(member, #prefix + 1)
      if not seen[at] then
        seen[at] = true
        places[#places + 1] = at
      end
    end
    if #members == LOOK_MAX then
      local ended = string.sub(members[LOOK_MAX], #prefix + 1)
      if not last or ended < last then last = ended end
    end
  end
  table.sort(places)
  if #places > LOOK_MAX and (not last or places[LOOK_MAX] < last) then last = places[LOOK_MAX] end
  for i = #places, LOOK_MAX + 1, -1 do places[i] = nil end
  return places, last or ''
end

-- Searches for the best partner. Returns its id or false, and the ids of the tickets passed over.
local function search(me, now)
  local time = redis.call('TIME')
  local real_now = time[1] * 1000 + math.floor(time[2] / 1000)
  local my_rank, leases, candidates, noted = rank(me, now), {}, {}, {}

  local function is_alive(node)
    if leases[node] == nil then
      leases[node] = tonumber(redis.call('HGET', NODES, node) or '0') > real_now
    end
    return leases[node]
  end

  local function acceptable(at)
    local other = load(string.sub(at, 16))
    if not other then return false end
    if not is_alive(other[NODE]) then
      remove(other[ID])
      return false
    end
    if other[USER] == me[USER] then return false end
    if holds(me[BLOCKED], other[USER]) or holds(other[BLOCKED], me[USER]) then return false end
    if waits_for_new(me, other, now) or waits_for_new(other, me, now) then return false end
    if math.min(my_rank, rank(other, now)) < 3 then
      if holds(me[RECENT], other[USER]) or holds(other[RECENT], me[USER]) then return false end
    end
    return other
  end

  local function note(at, other)
    noted[at] = true
    candidates[#candidates + 1] = {
      place = at,
      id = other[ID],
      score = shared(me, other) * 2 + (other[LANGUAGE] == me[LANGUAGE] and 1 or 0),
      is_overdue = other[BYPASSES] >= BYPASSES_MAX,
    }
  end

  local function scan(which, ranges, front_max, fits)
    local places, cursor = walk(ranges, me[CURSORS][which])
    me[CURSORS][which] = cursor
    local found = 0
    for _, at in ipairs(places) do
      if found >= front_max then break end
      local other = not noted[at] and acceptable(at)
      if other and fits(other) then
        note(at, other)
        found = found + 1
      end
    end
  end

  -- Tickets that share an interest: of the same language at once, of others when both have widened.
  local ranges = {}
  for _, interest in ipairs(me[INTERESTS]) do
    ranges[#ranges + 1] = { line('l', me[CATEGORY], me[BRACKET], me[LANGUAGE], interest) }
    if my_rank >= 2 then
      ranges[#ranges + 1] = { line('i', me[CATEGORY], me[BRACKET], interest), now - WIDENING_MS[2] }
    end
  end
  scan(1, ranges, LOOK_MAX, function() return true end)
  -- Tickets of the same language that need no shared interest.
  if my_rank >= 1 or #me[INTERESTS] == 0 then
    local asking = { line('a', me[CATEGORY], me[BRACKET], me[LANGUAGE]), now - WIDENING_MS[1] }
    local open = { line('o', me[CATEGORY], me[BRACKET], me[LANGUAGE]) }
    scan(2, { open, asking }, FRONT_MAX, function() return true end)
  end
  -- Tickets of other languages.
  if my_rank >= 2 then
    local everyone = { line('e', me[CATEGORY], me[BRACKET]), now - WIDENING_MS[2] }
    scan(3, { everyone }, FRONT_MAX, function(other) return other[LANGUAGE] ~= me[LANGUAGE] end)
  end

  local chosen = nil
  for _, c in ipairs(candidates) do
    local is_better = not chosen
      or (c.is_overdue and not chosen.is_overdue)
      or (c.is_overdue and chosen.is_overdue and c.place < chosen.place)
    if not is_better and not c.is_overdue and not chosen.is_overdue then
      is_better = c.score > chosen.score or (c.score == chosen.score and c.place < chosen.place)
    end
    if is_better then chosen = c end
  end
  if not chosen then return false, {} end
  local passed = {}
  for _, c in ipairs(candidates) do
    if c.place < chosen.place and c.score < chosen.score then passed[#passed + 1] = c.id end
  end
  return chosen.id, passed
end

-- Takes the partner that a search found out of the queue, and counts the bypasses.
local function take(id, passed)
  for _, other in ipairs(passed) do
    local ticket = load(other)
    ticket[BYPASSES] = ticket[BYPASSES] + 1
    save(ticket)
  end
  return remove(id)
end

-- The ticket that the arguments from `first` on describe.
local function ticket_from(first, bypasses)
  local interests = {}
  for i = first + 11, #ARGV do interests[#interests + 1] = ARGV[i] end
  return {
    tonumber(ARGV[first]), ARGV[first + 1], ARGV[first + 2], ARGV[first + 3], ARGV[first + 4],
    ARGV[first + 5], interests, ARGV[first + 6], ARGV[first + 7], bypasses, 0, ARGV[first + 8],
    ARGV[first + 9], { '', '', '' }, tonumber(ARGV[first + 10]),
  }
end
