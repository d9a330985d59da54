package sandbox

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// call is a system call as a filter sees it.
type call struct {
	arch, number uint32
	args         [6]uint64
}

// run returns the answer of a compiled profile.
func (c call) run(t interface{ Fatal(...any) }, vm *bpf.VM) uint32 {
	// The kernel uses the machine's byte order; the library uses that of packets.
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[offsetNumber:], c.number)
	binary.BigEndian.PutUint32(data[offsetArch:], c.arch)
	for i, a := range c.args {
		binary.BigEndian.PutUint32(data[offsetArgs+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[offsetArgs+8*i+4:], uint32(a>>32))
	}
	got, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(got)
}

// decide returns the answer of a profile for a call of this architecture.
func (c call) decide(p *specs.LinuxSeccomp, name string) uint32 {
	for _, rule := range p.Syscalls {
		holds := slices.Contains(rule.Names, name)
		for _, a := range rule.Args {
			if a.Op == specs.OpMaskedEqual {
				holds = holds && c.args[a.Index]&a.Value == a.ValueTwo
			} else {
				holds = holds && c.args[a.Index] == a.Value
			}
		}
		if holds {
			return answer(rule.Action, rule.ErrnoRet)
		}
	}
	return answer(p.DefaultAction, p.DefaultErrnoRet)
}

func virtual(t *testing.T, p *specs.LinuxSeccomp) *bpf.VM {
	t.Helper()
	compiled, err := compile(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d instructions", len(compiled))
	if len(compiled) > usualLength {
		t.Errorf("got %d instructions, want at most %d", len(compiled), usualLength)
	}
	var raw []bpf.RawInstruction
	for _, f := range compiled {
		raw = append(raw, bpf.RawInstruction{Op: f.Code, Jt: f.Jt, Jf: f.Jf, K: f.K})
	}
	program, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("an instruction isn't known")
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// TestTwoFilters: for every call the two filters together give the answer of the
// whole profile.
func TestTwoFilters(t *testing.T) {
	setup, err := setupProfile()
	if err != nil {
		t.Fatal(err)
	}
	first := virtual(t, setup)
	for _, capabilities := range [][]string{nil, {"CAP_NET_RAW"}} {
		whole, err := seccompProfile(capabilities)
		if err != nil {
			t.Fatal(err)
		}
		second := toolProfile(capabilities)
		check := func(t interface {
			Fatal(...any)
			Fatalf(string, ...any)
		}, name string, number uint32, args [6]uint64,
		) {
			c := call{auditArch, number, args}
			got, want := c.run(t, first), c.decide(whole, name)
			if got == unix.SECCOMP_RET_ALLOW { // otherwise it is refused, whatever the second answers
				got = c.decide(second, name)
			}
			if got != want {
				t.Fatalf("%v: %s(%#x): got %#x, want %#x", capabilities, name, args, got, want)
			}
		}
		var decided []specs.LinuxSyscall // by arguments
		for _, p := range []*specs.LinuxSeccomp{whole, setup, second} {
			for _, rule := range p.Syscalls {
				if len(rule.Args) > 0 {
					decided = append(decided, rule)
				}
			}
		}
		for number := range uint32(1000) {
			name, err := libseccomp.ScmpSyscall(number).GetName()
			if err != nil {
				continue // see TestFilterRefuses
			}
			check(t, name, number, [6]uint64{})
		}
		rapid.Check(t, func(t *rapid.T) {
			rule := rapid.SampledFrom(decided).Draw(t, "rule")
			number, err := libseccomp.GetSyscallFromName(rule.Names[0])
			if err != nil {
				t.Fatal(err)
			}
			var args [6]uint64
			for i := range args {
				args[i] = rapid.Uint64().Draw(t, "any")
			}
			// Use the values in rules, and values next to them.
			for _, other := range decided {
				if other.Names[0] != rule.Names[0] {
					continue
				}
				for _, a := range other.Args {
					if value := max(a.Value, a.ValueTwo); rapid.IntRange(0, len(decided)/8).Draw(t, "take") == 0 {
						if a.Op == specs.OpMaskedEqual {
							value = a.ValueTwo
						}
						args[a.Index] = value + rapid.SampledFrom([]uint64{0, 0, 0, 1, ^uint64(0), 1 << 31, 1 << 32}).Draw(t, "beside")
					}
				}
			}
			check(t, rule.Names[0], uint32(number), args)
		})
	}
}

// TestFilterRefuses: calls that aren't in this architecture's table are refused.
func TestFilterRefuses(t *testing.T) {
	setup, err := setupProfile()
	if err != nil {
		t.Fatal(err)
	}
	vm := virtual(t, setup)
	const noSuchCall, refused = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS), unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	for name, test := range map[string]struct {
		call
		want uint32
	}{
		"another architecture":     {call{arch: auditArch ^ 1}, refused},
		"a call of a newer kernel": {call{arch: auditArch, number: 5000}, noSuchCall},
		"x32":                      {call{arch: auditArch, number: 0x40000000}, noSuchCall},
		"all bits":                 {call{arch: auditArch, number: ^uint32(0)}, noSuchCall},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.run(t, vm); got != test.want {
				t.Errorf("got %#x, want %#x", got, test.want)
			}
		})
	}
}

// TestCompileRefuses: rules that a profile can have, but a tool's profile doesn't, are refused.
func TestCompileRefuses(t *testing.T) {
	for name, rules := range map[string][]specs.LinuxSyscall{
		"an action":             {{Names: []string{"read"}, Action: specs.ActKill}},
		"a comparison":          {allow("read", specs.LinuxSeccompArg{Op: specs.OpGreaterThan})},
		"with and without args": {allow("read"), allow("read", exactly(0, 1))},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := compile(&specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: rules}); err == nil {
				t.Error("got a program, want an error")
			}
		})
	}
}
