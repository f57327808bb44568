-- random_files.lua — for wrk: each request is for one of many files. wrk -s random_files.lua URL -- 250 400
--
-- The same files in the same order for each server: every thread begins with its own number as the seed.
local folders, files, rest
local threads = 0

function setup(thread)
    threads = threads + 1
    thread:set("seed", threads)
end

function init(arguments)
    folders, files = tonumber(arguments[1]), tonumber(arguments[2])
    rest = wrk.format():match("^GET [^ ]+( .*)$")
    math.randomseed(seed)
end

function request()
    return "GET /site/d" .. math.random(0, folders - 1) .. "/f" .. math.random(0, files - 1) .. ".html" .. rest
end
