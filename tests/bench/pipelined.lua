-- pipelined.lua — for wrk: so many requests in one write. wrk -s pipelined.lua URL -- 16
local requests

function init(arguments)
    local one = wrk.format()
    requests = one:rep(tonumber(arguments[1]))
end

function request()
    return requests
end
