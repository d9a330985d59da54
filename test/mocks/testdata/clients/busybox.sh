#!/bin/sh
# Does the features that its arguments name, with busybox wget, and prints each outcome.
get() {
  if text=$(busybox wget -q -O - "$@" 2>/tmp/error); then
    echo "200 $text"
    return
  fi
  case $(cat /tmp/error) in
    *'server returned error: HTTP/1.1 '*) sed -n 's|.*HTTP/1.1 \([0-9]*\).*|\1|p' /tmp/error ;;
    *reset*) echo reset ;;
    *'timed out'*) echo timed out ;;
    *refused*) echo refused ;;
    *) cat /tmp/error ;;
  esac
}
one() {
  case $1 in
    http-name) get http://no.such.example/hello ;;
    localhost) get http://localhost:8080/hello ;;
    127.0.0.1) get http://127.0.0.1:8081/hello ;;
    ::1) get 'http://[::1]:8082/hello' ;;
    ipv4) get http://93.184.216.34/hello ;;
    ipv6) get 'http://[2001:db8::1]/hello' ;;
    redirect) get http://old.example/plain ;;
    delay) get http://api.example/late ;;
    reset) get http://api.example/reset ;;
    never) (timeout 1 busybox wget -q -O - http://api.example/never || echo timed out) 2>/dev/null ;; # wget -T crashes
    sequence) for _ in 1 2 3; do get http://api.example/sequence | cut -d' ' -f1; done | xargs ;;
    parallel) for i in $(seq 50); do busybox wget -q -O - http://together.example/together & done | grep -o together | wc -l ;;
    own-server)
      busybox httpd -p 127.0.0.1:9000 -h /tools
      get http://127.0.0.1:9000/own.txt
      ;;
    other-port) get http://127.0.0.1:9001/hello ;;
    unmatched) get http://no.such.example/hallo ;;
    denied) get http://denied.example/hello ;;
    *) echo unknown ;;
  esac
}
for feature; do printf '%s\t%s\n' "$feature" "$(one "$feature")"; done
