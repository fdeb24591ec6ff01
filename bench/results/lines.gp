# Lines on two log axes, each named at its end. Wants: title, below, x_label, y_label, count, class[], $lines, $names and ranges (lines.jq).
set datafile separator "\t"
unset key
set border 3 lc rgb "#b4bcc6"
set tics nomirror out scale 0.5 textcolor rgb "#59626c"
set grid xtics ytics lw 1 lc rgb "#e6e8eb"
set logscale xy
unset mxtics
unset mytics
set format y "%h"
set lmargin at screen 0.09
set rmargin at screen 0.80
set tmargin at screen 1 - 70.0 / height
set bmargin at screen 66.0 / height
set xlabel x_label offset 0,0.2 textcolor rgb "#59626c"
set ylabel y_label textcolor rgb "#59626c"
set label title at screen 0.02, 1 - 24.0 / height left noenhanced font font_title textcolor rgb "#1b1f24"
set label below at screen 0.02, 1 - 47.0 / height left noenhanced font font_small textcolor rgb "#6a737d"
colour(class) = class == 1 ? 0x1f5fbf : class == 2 ? 0x8d97a3 : 0xe0a25c
ink(class) = class == 1 ? 0x123f85 : class == 2 ? 0x59626c : 0x9a6420
plot for [i = 0 : count - 1] $lines index i using 1:2:(colour(class[i + 1])) with lines lw (class[i + 1] == 1 ? 3 : 2) lc rgb variable, \
     for [i = 0 : count - 1] $lines index i using 1:2:(colour(class[i + 1])) with points pt 7 ps 0.6 lc rgb variable, \
     $names using 1:2:4:(ink($3)) with labels left offset 1,0 noenhanced textcolor rgb variable
