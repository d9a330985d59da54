package secret

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// benchValues returns n realistic tokens.
func benchValues(n int) [][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	values := make([][]byte, n)
	for i := range values {
		raw := make([]byte, 30)
		for j := range raw {
			raw[j] = byte(rnd.Uint32())
		}
		values[i] = []byte(base64.StdEncoding.EncodeToString(raw))
	}
	return values
}

// benchLog returns at least n bytes of a log such as tools write.
func benchLog(n int) []byte {
	var b bytes.Buffer
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := 0; b.Len() < n; i++ {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "2026-05-0%dT12:%02d:%02d.%06dZ INFO  http: GET /api/v1/namespaces/default/pods/web-%08x 200 %dms\n", i%9+1, i/60%60, i%60, rnd.IntN(1e6), rnd.Uint32(), rnd.IntN(900))
		case 1:
			fmt.Fprintf(&b, `{"level":"info","ts":%d.%06d,"caller":"controller/reconcile.go:%d","msg":"reconciled","digest":"sha256:%016x%016x"}`+"\n", 1700000000+i, rnd.IntN(1e6), rnd.IntN(500), rnd.Uint64(), rnd.Uint64())
		case 2:
			fmt.Fprintf(&b, "    Unpacking libssl3:amd64 (3.0.%d-1~deb12u%d) over (3.0.%d-1~deb12u1) ...\n", rnd.IntN(20), rnd.IntN(9), rnd.IntN(20))
		case 3:
			raw := make([]byte, 45)
			for j := range raw {
				raw[j] = byte(rnd.Uint32())
			}
			fmt.Fprintf(&b, "data: %s\n", base64.StdEncoding.EncodeToString(raw))
		}
	}
	return b.Bytes()
}

func benchWriter(b *testing.B, values [][]byte, text []byte, chunk int) {
	w := NewRedactor(values...).Writer(io.Discard)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		for p := text; len(p) > 0; {
			n := min(chunk, len(p))
			if _, err := w.Write(p[:n]); err != nil {
				b.Fatal(err)
			}
			p = p[n:]
		}
	}
}

func BenchmarkWriter(b *testing.B) {
	text := benchLog(4 << 20)
	for _, n := range []int{0, 1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("secrets=%d", n), func(b *testing.B) { benchWriter(b, benchValues(n), text, 32<<10) })
	}
	b.Run("kubeconfig+10", func(b *testing.B) {
		benchWriter(b, append(benchValues(10), kubeconfig(8<<10)), text, 32<<10)
	})
	b.Run("1MiB+10", func(b *testing.B) {
		benchWriter(b, append(benchValues(10), kubeconfig(1<<20)), text, 32<<10)
	})
	b.Run("short", func(b *testing.B) {
		benchWriter(b, append(benchValues(10), []byte("info"), []byte("pass1"), []byte("pods")), text, 32<<10)
	})
	b.Run("lines", func(b *testing.B) { benchWriter(b, benchValues(10), text, 100) })
	// A tool that only prints a secret, and a tool that only prints the beginning of a secret.
	values := benchValues(10)
	b.Run("printing", func(b *testing.B) {
		benchWriter(b, values, bytes.Repeat(append(values[3], '\n'), 10000), 32<<10)
	})
	b.Run("beginnings", func(b *testing.B) { benchWriter(b, values, bytes.Repeat(values[3][:30], 10000), 32<<10) })
	big := kubeconfig(1 << 20)
	b.Run("printing-1MiB", func(b *testing.B) {
		benchWriter(b, [][]byte{big}, []byte(base64.StdEncoding.EncodeToString(big)), 32<<10)
	})
}

func BenchmarkNewRedactor(b *testing.B) {
	for _, size := range []int{40, 8 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			value := kubeconfig(size)
			b.ReportAllocs()
			for b.Loop() {
				NewRedactor(value)
			}
		})
	}
}

// kubeconfig returns a secret of n bytes with many lines.
func kubeconfig(n int) []byte {
	var b bytes.Buffer
	rnd := rand.New(rand.NewPCG(5, 6))
	b.WriteString("apiVersion: v1\nkind: Config\nclusters:\n")
	for b.Len() < n {
		raw := make([]byte, min(300, max(9, n-b.Len())))
		for j := range raw {
			raw[j] = byte(rnd.Uint32())
		}
		fmt.Fprintf(&b, "- cluster:\n    server: https://10.%d.%d.1:6443\n    certificate-authority-data: %s\n  name: c%d\n",
			rnd.IntN(256), rnd.IntN(256), base64.StdEncoding.EncodeToString(raw), rnd.IntN(1e6))
	}
	return b.Bytes()[:n]
}
