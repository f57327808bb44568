"""plot.py — draws the processor time of all servers for all works, as one SVG, by gnuplot."""
import subprocess

from contestants import LIMIT, NAMES, PERDURE

CPU = ("cpu_us", "cpu_us_per_mb")
COLOURS = {PERDURE: "#1b7837", LIMIT: "#bbbbbb", "nginx": "#4393c3", "h2o": "#f4a582", "lighttpd": "#92c5de",
           "apache": "#d6604d"}


def quoted(text):
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def chosen_lines(lines):
    """Those of processor time: pinned, and of what was not measured so, with two workers."""
    found = {}
    for line in lines:
        if line.figure in CPU and PERDURE in line.medians:
            found.setdefault(line.work, line)
    return list(found.values())


def table(lines, names):
    """Each server's time as a multiple of perdure's."""
    rows = []
    for line in lines:
        ours = line.medians[PERDURE]
        rows.append(" ".join([quoted(line.title.replace(" keep-alive", "")),
                              *(f"{line.medians[name] / ours:.4f}" if name in line.medians else "NaN" for name in names)]))
    return "\n".join(rows)


def script(path, lines, caption):
    """What gnuplot is told."""
    lines = chosen_lines(lines)
    names = [name for name in NAMES if any(name in line.medians for line in lines)]
    bars = ", ".join(f"$figures using {column}{':xtic(1)' if column == 2 else ''} title {quoted(name)} "
                     f"linecolor rgb {quoted(COLOURS[name])}" for column, name in enumerate(names, start=2))
    return f"""$figures << END
{table(lines, names)}
END
set terminal svg size 1200,560 font "sans-serif,13" background "white"
set output {quoted(path)}
set title {quoted(caption)} font ",12" noenhanced
set ylabel "processor time (perdure 1; cut off at 4)"
set yrange [0:4]
set style data histogram
set style histogram clustered gap 1
set style fill solid border -1
set xtics rotate by -30 noenhanced nomirror
set key outside top horizontal
set grid ytics
plot 1 notitle linecolor rgb "#888888", {bars}
"""


def draw(path, lines, caption):
    if not chosen_lines(lines):
        raise SystemExit("bench: there are no processor times of perdure to draw")
    subprocess.run(["gnuplot"], input=script(path, lines, caption), text=True, check=True)
