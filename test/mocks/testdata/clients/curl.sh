#!/bin/bash
# Does the features that its arguments name, with curl, and prints each outcome.
get() {
  : >/tmp/body
  code=$(curl -sS -o /tmp/body -w '%{http_code}' "$@" 2>/tmp/error)
  case $? in
    0) echo $code $(cat /tmp/body) ;;
    7) echo refused ;;
    28) echo timed out ;;
    16 | 55 | 56 | 92) # with HTTP/2, a read or a write may report the reset
      case $(cat /tmp/error) in
        *reset*) echo reset ;;
        *'unexpected eof'* | *'not closed cleanly'* | *HTTP2*) echo cut ;;
        *) cat /tmp/error ;;
      esac
      ;;
    *) cat /tmp/error ;;
  esac
}
body='Content-Type: application/json'
# Prints the status codes of all requests of one curl command.
codes() { echo $(curl -sS -w '%{http_code}\n' -o /dev/null "$@" 2>&1); }
one() {
  case $1 in
    http-name) get http://no.such.example/hello ;;
    https-name) get https://no.such.example/hello ;;
    localhost) get http://localhost:8080/hello ;;
    127.0.0.1) get http://127.0.0.1:8081/hello ;;
    ::1) get 'http://[::1]:8082/hello' ;;
    localhost-tls) get https://localhost:8443/hello ;;
    ipv4) get http://93.184.216.34/hello ;;
    ipv4-tls) get https://93.184.216.34/hello ;;
    ipv6-tls) get 'https://[2001:db8::1]/hello' ;;
    resolve) get --resolve pinned.example:80:93.184.216.35 http://pinned.example/hello ;;
    resolve-tls) get --resolve pinned.example:443:93.184.216.35 https://pinned.example/hello ;;
    resolve-local) get --resolve pinned.example:8080:127.0.0.1 http://pinned.example:8080/hello ;;
    keep-alive) codes http://keep.example/hello -o /dev/null http://keep.example/hello -o /dev/null http://keep.example/hello ;;
    http2) get --http2 https://h2.example/hello ;;
    http2-plain) get --http2-prior-knowledge http://h2c.example/hello ;;
    http2-upgrade) get --http2 http://upgrade.example/hello ;;
    chunked) get -H 'Transfer-Encoding: chunked' -H "$body" -d '{"chunked": true}' http://api.example/chunked ;;
    gzip) get --compressed http://api.example/zipped ;;
    gzip-request) printf '{"zipped": true}' | gzip | get -H "$body" -H 'Content-Encoding: gzip' --data-binary @- http://api.example/unzipped ;;
    redirects) get -L http://old.example/moved ;;
    redirect-post) get -L -H "$body" -d '{"kept": true}' http://api.example/kept ;;
    head) get -I http://api.example/hello | head -c 3; echo ;;
    no-content) get http://api.example/none ;;
    delay) get http://api.example/late ;;
    reset) get http://api.example/reset ;;
    never) get -m 1 http://api.example/never ;;
    continue) get -T /tools/curl.sh -H 'Expect: 100-continue' --expect100-timeout 20 http://api.example/continued ;;
    sequence) for _ in 1 2 3; do get http://api.example/sequence | cut -d' ' -f1; done | xargs ;;
    parallel)
      urls=(); for i in {1..50}; do urls+=(-o /dev/null http://together.example/together); done
      curl -sS -Z --parallel-immediate --parallel-max 50 --http1.1 -w '%{http_code}\n' "${urls[@]}" 2>&1 | grep -c 200
      ;;
    own-server)
      busybox httpd -p 127.0.0.1:9000 -h /tools
      get http://127.0.0.1:9000/own.txt
      ;;
    other-port) get http://127.0.0.1:9001/hello ;;
    unmatched) get http://no.such.example/hallo ;;
    unmatched-tls) get https://no.such.example/hallo ;;
    denied) get http://denied.example/hello ;;
    down) curl -sS -o /dev/null -w '%{http_code} %{size_download}\n' "$SCHEME://large.example/large" ;;
    up) head -c 104857600 /dev/zero | curl -sS -T - -o /dev/null -w '%{http_code} %{size_upload}\n' "$SCHEME://large.example/upload" ;;
    *) echo unknown ;;
  esac
}
for feature; do printf '%s\t%s\n' "$feature" "$(one "$feature")"; done
