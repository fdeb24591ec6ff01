# Horizontal bars in groups, with their words beside them. Wants: title, low, high, logarithmic, lines, $bars, $heads (bars.jq).
set datafile separator "\t"
set style fill solid 1 noborder
set boxwidth 0.7
unset key
set border 0
set tics nomirror scale 0
unset ytics
set grid xtics lw 1 lc rgb "#e6e8eb"
set xtics textcolor rgb "#6a737d"
set yrange [lines + 0.7 : 0.2]
set lmargin at screen 0.22
set rmargin at screen 0.97
set tmargin at screen 1 - 66.0 / height
set bmargin at screen 34.0 / height
set format x "%h"
if (logarithmic) { set logscale x; if (low >= 1) { set format x "%.0s%c" } }
set xrange [low : high]
set label title at screen 0.02, 1 - 24.0 / height left noenhanced font font_title textcolor rgb "#1b1f24"
edge = logarithmic ? low * 1.001 : low + high * 1e-6
set label below at screen 0.02, 1 - 47.0 / height left noenhanced font font_small textcolor rgb "#6a737d"
colour(class) = class == 1 ? 0x1f5fbf : class == 2 ? 0xb4bcc6 : 0xe0a25c
ink(class) = class == 1 ? 0x123f85 : 0x3d444d
plot $bars using 2:1:(low):2:($1 - 0.36):($1 + 0.36):(colour($5)) with boxxyerror lc rgb variable, \
     $bars using ($4 > $3 ? $2 : NaN):1:3:4 with xerrorbars pt -1 lw 1 lc rgb "#59626c", \
     $bars using (edge):1:6:(ink($5)) with labels right offset -1,0 noenhanced tc rgb variable, \
     $bars using (logarithmic ? ($4 > $2 ? $4 : $2) * 1.12 : ($4 > $2 ? $4 : $2) + high * 0.008):1:7:(ink($5)) with labels left noenhanced tc rgb variable, \
     $heads using (edge):1:2 with labels left offset -0.6,0 enhanced textcolor rgb "#1b1f24"
