package image

import "testing"

// TestM05_WaysToWriteAnAddress checks that isAddress knows every form that a
// dialler, a proxy or net/http reads as an address.
func TestM05_WaysToWriteAnAddress(t *testing.T) {
	for host, want := range map[string]bool{
		"10.0.0.1": true, "127.1": true, "2130706433": true, "0x7f000001": true, "10.0.0.0x1": true, "0X7F.1": true, "10.0.0.1.": true,
		"169.254.169.\uff12\uff15\uff14": true, "::1": true, "fe80::1%eth0": true,
		"registry.example.com": false, "0x.example": false, "a.b": false, "xn--nxasmq6b.example": false, "1e100.net": false, "": false,
	} {
		if got := isAddress(host); got != want {
			t.Errorf("%q: got %t, want %t", host, got, want)
		}
	}
}
