#!/usr/bin/env bash
# Makes a development CA, a server certificate and client certificates. Development only: the CA's key lies beside them,
# without a passphrase.
set -euo pipefail
umask 077

usage() {
    cat <<'TEXT'
usage: certs/generate.sh [--out DIR] [--days N] [--san NAME]... [--force] [CLIENT]...

Makes in DIR (default: certs/out, ignored by git):
  ca.pem, ca.key            the development CA
  server.pem, server.key    for localhost, 127.0.0.1, ::1 and each --san (DNS:name or IP:address)
  CLIENT.pem, CLIENT.key    one pair for each CLIENT named (default: client); the name becomes the CN

What exists and is not about to expire is kept, so a second run only adds what is missing.
--force makes everything anew; certificates of the former CA are then worth nothing.

Example: certs/generate.sh --san DNS:broker.test alice sensor-17
TEXT
}

here=$(cd "$(dirname "$0")" && pwd)
out="$here/out"
days=825
force=false
sans="DNS:localhost,IP:127.0.0.1,IP:::1"
clients=()
fail() { echo "certs/generate.sh: $1" >&2; exit 2; }
while [[ $# -gt 0 ]]; do
    case "$1" in
        -h | --help) usage; exit 0 ;;
        --out) out=${2:?--out needs a directory}; shift 2 ;;
        --days) days=${2:?--days needs a number}; shift 2 ;;
        --san) sans+=",${2:?--san needs DNS:name or IP:address}"; shift 2 ;;
        --force) force=true; shift ;;
        -*) fail "unknown option $1 (see --help)" ;;
        *)
            [[ "$1" =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || fail "'$1' can't be a client's name here: letters, digits, . _ - only"
            [[ "$1" != ca && "$1" != server ]] || fail "'$1' is the name of another certificate"
            clients+=("$1"); shift ;;
    esac
done
[[ "$days" =~ ^[1-9][0-9]{0,4}$ ]] || fail "--days needs a number of days, not '$days'"
[[ ${#clients[@]} -gt 0 ]] || clients=(client)
command -v openssl >/dev/null || fail "openssl is missing; install it (make setup)"
export SUBJECT_ALT_NAMES="$sans"
mkdir -p "$out"
chmod 700 "$out"

# A pair that is whole and good for a week is kept. Half a pair, or one that belongs to another CA, is a question for
# whoever runs this, so nothing is overwritten.
keep() {
    local name=$1
    [[ $force == false ]] || return 1
    [[ -e "$out/$name.pem" || -e "$out/$name.key" ]] || return 1
    [[ -s "$out/$name.pem" && -s "$out/$name.key" ]] || fail "$out holds half a pair for '$name'; remove it or use --force"
    openssl x509 -in "$out/$name.pem" -noout -checkend 604800 >/dev/null || fail "$out/$name.pem expires within a week; use --force"
    if [[ $name != ca ]] && ! openssl verify -CAfile "$out/ca.pem" "$out/$name.pem" >/dev/null 2>&1; then
        fail "$out/$name.pem was not issued by $out/ca.pem; remove it or use --force"
    fi
    echo "kept  $out/$name.pem"
}

# Written under another name first: an interrupted run leaves no half pair.
key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null ||
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

if ! keep ca; then
    key "$out/.ca.key"
    openssl req -new -x509 -sha256 -days "$days" -config "$here/openssl.cnf" -extensions authority \
        -subj "/O=Headwater development/CN=Headwater development CA" -key "$out/.ca.key" -out "$out/.ca.pem"
    mv "$out/.ca.key" "$out/ca.key"
    mv "$out/.ca.pem" "$out/ca.pem"
    echo "made  $out/ca.pem"
fi

issue() {
    local name=$1 kind=$2 common=$3
    keep "$name" && return
    key "$out/.$name.key"
    openssl req -new -sha256 -config "$here/openssl.cnf" -subj "/O=Headwater development/CN=$common" \
        -key "$out/.$name.key" -out "$out/.$name.csr"
    openssl x509 -req -sha256 -days "$days" -in "$out/.$name.csr" -CA "$out/ca.pem" -CAkey "$out/ca.key" \
        -set_serial "0x$(openssl rand -hex 16)" -extfile "$here/openssl.cnf" -extensions "$kind" -out "$out/.$name.pem" 2>/dev/null
    rm "$out/.$name.csr"
    mv "$out/.$name.key" "$out/$name.key"
    mv "$out/.$name.pem" "$out/$name.pem"
    echo "made  $out/$name.pem"
}
issue server server localhost
for client in "${clients[@]}"; do issue "$client" client "$client"; done
chmod 600 "$out"/*.key
chmod 644 "$out"/*.pem
