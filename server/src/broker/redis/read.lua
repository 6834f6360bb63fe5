-- Reads on in the log of a chat. KEYS: meta, log. ARGV: epoch, after, most messages.
-- Answers false when there is no log of this epoch, else {seq, message, seq, message…}.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return false end
local from = ARGV[1] .. '-' .. string.format('%.0f', ARGV[2] + 1)
local answer = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', ARGV[3])) do
  answer[#answer + 1] = string.match(entry[1], '-(%d+)$')
  answer[#answer + 1] = entry[2][2]
end
return answer
