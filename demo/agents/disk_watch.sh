#!/bin/sh
# How full each disk is, and how fast it fills; fails where one is nearly full.
# Only POSIX tools. LIMIT (percent) comes from the agent's environment.
set -eu
limit=${LIMIT:-97}
data=${DEMO_DATA:-.}
mkdir -p "$data"
before=$data/disk-watch.before
now=$(date +%s)
seen=$PWD/seen

df -Pk 2>/dev/null | awk 'NR > 1 && $1 ~ /^\/|overlay|tmpfs/ && $2 > 0 && !twice[$6]++ {
    print $6, $2, $3
}' >"$seen"
[ -s "$seen" ] || { echo "df shows no disk" >&2; exit 2; }

[ -f "$before" ] && cp "$before" before || : >before
fullest=$(awk -v now="$now" '
    FILENAME == "before" { at[$1] = $4; used[$1] = $3; next }
    {
        share = 100 * $3 / $2
        rate = ($1 in at && now > at[$1]) ? ($3 - used[$1]) * 3600 / (now - at[$1]) : 0
        printf "%-24s %5.1f %% of %d MiB, %+.1f MiB an hour\n", $1, share, $2 / 1024, rate / 1024 > "/dev/stderr"
        if (share > most) { most = share; where = $1 }
    }
    END { printf "%.1f %s", most, where }
' before "$seen" 2>lines)
cat lines
awk -v now="$now" '{ print $1, $2, $3, now }' "$seen" >"$before.$$"
mv "$before.$$" "$before"

share=${fullest%% *}
where=${fullest#* }
files=$(find "$data" -type f | wc -l)
size=$(du -sk "$data" | cut -f1)
printf '{"fullest": "%s", "percent": %s, "disks": %d, "demo_files": %d, "demo_kib": %d}\n' \
    "$where" "$share" "$(wc -l <"$seen")" "$files" "$size" >"${KOS_RESULT:-result.json}"
echo "fullest: $where at $share %; the demo keeps $files files, $size KiB"
if awk -v a="$share" -v b="$limit" 'BEGIN { exit !(a > b) }'; then
    echo "$where is above $limit %" >&2
    exit 3
fi
