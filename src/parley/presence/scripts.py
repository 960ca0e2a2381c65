"""What Redis does in one step for presence. Written for one Redis: the keys of nodes are found in the register, which a
Redis Cluster does not allow.

Every script reads Redis's own clock, so that the clocks of nodes do not matter, and tells what it changed in one
message: `<ms since 1970> +<user> -<user> …`, in the order in which it happened.
"""

COMMON = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function number(n) return string.format('%.0f', n) end

-- KEYS: the register of nodes.
-- ARGV: own node, dead after ms, remembered ms, prefix of online, prefix of seen, channel.
local others = {}
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], number(now - ARGV[2]), '+inf')) do
  if node ~= ARGV[1] then others[#others + 1] = ARGV[4] .. node end
end
local function elsewhere(user)
  for _, set in ipairs(others) do
    if redis.call('SISMEMBER', set, user) == 1 then return true end
  end
  return false
end
local mine = ARGV[4] .. ARGV[1]
local told = {}
local function gone(user, at)
  redis.call('SET', ARGV[5] .. user, number(at), 'PX', ARGV[3])
  told[#told + 1] = '-' .. user
end
local function tell(at)
  if #told > 0 then redis.call('SPUBLISH', ARGV[6], number(at) .. ' ' .. table.concat(told, ' ')) end
  told = {}
end
local function live()
  redis.call('ZADD', KEYS[1], number(now), ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('PEXPIRE', mine, ARGV[3])
end
"""

CHANGE = (
    COMMON
    + """
-- ARGV[7...]: +<user> came to this node, -<user> went. Told twice is nodes' business.
for i = 7, #ARGV do
  local user = string.sub(ARGV[i], 2)
  if string.sub(ARGV[i], 1, 1) == '+' then
    if redis.call('SADD', mine, user) == 1 and not elsewhere(user) then told[#told + 1] = ARGV[i] end
  else
    -- Also who is not in the set any more: Redis may have been emptied, and the others still show the user.
    redis.call('SREM', mine, user)
    if not elsewhere(user) then gone(user, now) end
  end
end
live()
tell(now)
"""
)

BEAT = (
    COMMON
    + """
-- ARGV[7]: how many users of dead nodes at most.  Returns how many users this node has, and whether dead ones are left.
live()
-- For a dead node's users this one is another, too.
others[#others + 1] = mine
local left = tonumber(ARGV[7])
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. number(now - ARGV[2]), 'WITHSCORES')
for i = 1, #dead, 2 do
  local set, at = ARGV[4] .. dead[i], tonumber(dead[i + 1])
  if left > 0 then
    -- Whoever takes a user out of the set tells of them: no two nodes can.
    local users = redis.call('SPOP', set, left)
    left = left - #users
    -- When it was last heard of is the last that is known of its users.
    for _, user in ipairs(users) do if not elsewhere(user) then gone(user, at) end end
    tell(at)
  end
  if redis.call('SCARD', set) == 0 then redis.call('ZREM', KEYS[1], dead[i]) end
end
return {redis.call('SCARD', mine), left <= 0 and 1 or 0}
"""
)

LEAVE = (
    COMMON
    + """
-- Users who are still in the set are found by another node, with its next beat.
if redis.call('SCARD', mine) == 0 then redis.call('ZREM', KEYS[1], ARGV[1])
else redis.call('ZADD', KEYS[1], number(now - ARGV[2] - 1), ARGV[1]) end
"""
)
