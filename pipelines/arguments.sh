# arguments.sh: what a script does with its arguments before anything else. --help prints the comment at the head of the script;
# an unknown option, or too few or too many arguments, is a mistake (64). To be sourced.
# usage: arguments LEAST MOST "$@"      MOST 0: no limit
arguments() {
    local name=${0##*/} least=$1 most=$2
    shift 2
    case ${1:-} in
    -h | --help)
        sed -n '2,${/^#/!q;s/^# \{0,1\}//p}' "$0"
        exit 0
        ;;
    -?*)
        echo "$name: unknown option '$1'; see --help" >&2
        exit 64
        ;;
    esac
    if [ $# -lt "$least" ] || { [ "$most" != 0 ] && [ $# -gt "$most" ]; }; then
        echo "$name: $(sed -n '2,${/^#/!q;s/^# .*\(usage: \)/\1/p;s/^# \(usage: \)/\1/p}' "$0" | head -n 1)" >&2
        exit 64
    fi
}
