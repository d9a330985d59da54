package sandbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// The netlink messages of nftables that the loopback's rules need. A library for them would add a third of a millisecond to
// each start of the shim, by its initialization alone. Every run would pay for it, and only tests of tools use it.
//
// The layout is that of linux/netfilter/nf_tables.h and nfnetlink.h: messages of attributes, with numbers in network order.

// Attributes and keys that package unix lacks.
const (
	nftaSocketKey, nftaSocketDreg, nftSocketTransparent    = 1, 2, 0
	nftaTproxyFamily, nftaTproxyRegAddr, nftaTproxyRegPort = 1, 2, 3
	nfAccept                                               = 1
	priorityMangle                                         = -150 // NF_IP_PRI_MANGLE
)

func attribute(kind int, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.NLA_HDRLEN+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, uint16(kind)), value...)
	return append(b, make([]byte, -len(b)&(unix.NLA_ALIGNTO-1))...)
}

func attributes(kind int, parts ...[]byte) []byte {
	return attribute(kind|unix.NLA_F_NESTED, bytes.Join(parts, nil))
}

func numberAttribute(kind int, n uint32) []byte {
	return attribute(kind, binary.BigEndian.AppendUint32(nil, n))
}

func textAttribute(kind int, text string) []byte { return attribute(kind, append([]byte(text), 0)) }

func valueAttribute(kind int, value []byte) []byte {
	return attributes(kind, attribute(unix.NFTA_DATA_VALUE, value))
}

// expression returns one step of a rule. Steps work on registers. A comparison that fails ends the rule.
func expression(name string, parts ...[]byte) []byte {
	return attributes(unix.NFTA_LIST_ELEM, textAttribute(unix.NFTA_EXPR_NAME, name), attributes(unix.NFTA_EXPR_DATA, parts...))
}

func loadMeta(key uint32) []byte {
	return expression("meta", numberAttribute(unix.NFTA_META_DREG, unix.NFT_REG_1), numberAttribute(unix.NFTA_META_KEY, key))
}

func loadPayload(header, offset, length uint32) []byte {
	return expression("payload",
		numberAttribute(unix.NFTA_PAYLOAD_DREG, unix.NFT_REG_1), numberAttribute(unix.NFTA_PAYLOAD_BASE, header),
		numberAttribute(unix.NFTA_PAYLOAD_OFFSET, offset), numberAttribute(unix.NFTA_PAYLOAD_LEN, length))
}

// loadTransparent loads whether the socket that a packet is for has IP_TRANSPARENT. It ends the rule if there is no socket.
func loadTransparent() []byte {
	return expression("socket", numberAttribute(nftaSocketDreg, unix.NFT_REG_1), numberAttribute(nftaSocketKey, nftSocketTransparent))
}

func mask(bits byte) []byte {
	return expression("bitwise",
		numberAttribute(unix.NFTA_BITWISE_SREG, unix.NFT_REG_1), numberAttribute(unix.NFTA_BITWISE_DREG, unix.NFT_REG_1), numberAttribute(unix.NFTA_BITWISE_LEN, 1),
		valueAttribute(unix.NFTA_BITWISE_MASK, []byte{bits}), valueAttribute(unix.NFTA_BITWISE_XOR, []byte{0}))
}

func equal(value ...byte) []byte {
	return expression("cmp",
		numberAttribute(unix.NFTA_CMP_SREG, unix.NFT_REG_1), numberAttribute(unix.NFTA_CMP_OP, unix.NFT_CMP_EQ), valueAttribute(unix.NFTA_CMP_DATA, value))
}

func between(first, last []byte) []byte {
	return expression("range",
		numberAttribute(unix.NFTA_RANGE_SREG, unix.NFT_REG_1), numberAttribute(unix.NFTA_RANGE_OP, unix.NFT_RANGE_EQ),
		valueAttribute(unix.NFTA_RANGE_FROM_DATA, first), valueAttribute(unix.NFTA_RANGE_TO_DATA, last))
}

func set(register uint32, value []byte) []byte {
	return expression("immediate", numberAttribute(unix.NFTA_IMMEDIATE_DREG, register), valueAttribute(unix.NFTA_IMMEDIATE_DATA, value))
}

func accept() []byte {
	verdict := attributes(unix.NFTA_DATA_VERDICT, numberAttribute(unix.NFTA_VERDICT_CODE, nfAccept))
	return expression("immediate", numberAttribute(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT), attributes(unix.NFTA_IMMEDIATE_DATA, verdict))
}

// transparentProxy passes the packet to the socket at the address in register 1 and the port in register 2.
func transparentProxy(family byte) []byte {
	return expression("tproxy",
		numberAttribute(nftaTproxyFamily, uint32(family)), numberAttribute(nftaTproxyRegAddr, unix.NFT_REG_1), numberAttribute(nftaTproxyRegPort, unix.NFT_REG_2))
}

// batch is a list of messages that take effect together or not at all.
type batch struct {
	messages []byte
	count    uint32
}

func (b *batch) add(kind, flags uint16, family byte, resource uint16, parts ...[]byte) {
	body := binary.BigEndian.AppendUint16([]byte{family, unix.NFNETLINK_V0}, resource) // struct nfgenmsg
	body = append(body, bytes.Join(parts, nil)...)
	m := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	m = binary.NativeEndian.AppendUint16(m, kind)
	m = binary.NativeEndian.AppendUint16(m, unix.NLM_F_REQUEST|flags)
	m = binary.NativeEndian.AppendUint32(m, b.count)
	m = binary.NativeEndian.AppendUint32(m, 0) // to the kernel
	b.count++
	b.messages = append(append(b.messages, m...), body...)
}

func (b *batch) table(kind, flags uint16, parts ...[]byte) {
	b.add(unix.NFNL_SUBSYS_NFTABLES<<8|kind, flags|unix.NLM_F_CREATE|unix.NLM_F_ACK, unix.NFPROTO_INET, 0, parts...)
}

// applyRules makes a table with one chain of rules for incoming packets, in the calling thread's network namespace.
func applyRules(table, chain string, rules [][]byte) error {
	b := &batch{}
	b.add(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	b.table(unix.NFT_MSG_NEWTABLE, 0, textAttribute(unix.NFTA_TABLE_NAME, table))
	priority := int32(priorityMangle)
	b.table(unix.NFT_MSG_NEWCHAIN, 0,
		textAttribute(unix.NFTA_CHAIN_TABLE, table), textAttribute(unix.NFTA_CHAIN_NAME, chain),
		attributes(unix.NFTA_CHAIN_HOOK, numberAttribute(unix.NFTA_HOOK_HOOKNUM, unix.NF_INET_PRE_ROUTING), numberAttribute(unix.NFTA_HOOK_PRIORITY, uint32(priority))),
		numberAttribute(unix.NFTA_CHAIN_POLICY, nfAccept), textAttribute(unix.NFTA_CHAIN_TYPE, "filter"))
	for _, rule := range rules {
		b.table(unix.NFT_MSG_NEWRULE, unix.NLM_F_APPEND,
			textAttribute(unix.NFTA_RULE_TABLE, table), textAttribute(unix.NFTA_RULE_CHAIN, chain), attributes(unix.NFTA_RULE_EXPRESSIONS, rule))
	}
	answers := b.count - 1 // to all except the first; the last isn't added yet
	b.add(unix.NFNL_MSG_BATCH_END, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	if err := b.send(answers); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}

// send sends the batch and reads the kernel's answers. The kernel has handled the batch when Sendto returns.
func (b *batch) send(answers uint32) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// Without this option each error contains the message that it is about.
	if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1); err != nil {
		return err
	}
	if err := unix.Sendto(fd, b.messages, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for answers > 0 {
		n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("the kernel doesn't confirm %d rules: %w", answers, err)
		}
		got, err := acknowledged(buf[:n])
		if err != nil {
			return err
		}
		answers -= min(got, answers)
	}
	return nil
}

// acknowledged counts the messages that the kernel accepted. The error is that of the first message that it refused.
func acknowledged(answer []byte) (count uint32, err error) {
	const header = unix.NLMSG_HDRLEN
	for len(answer) >= header+4 {
		size := int(binary.NativeEndian.Uint32(answer))
		if size < header+4 || size > len(answer) || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
			return count, errors.New("the kernel's answer is malformed")
		}
		if code := int32(binary.NativeEndian.Uint32(answer[header:])); code != 0 {
			return count, unix.Errno(-code)
		}
		count++
		answer = answer[min(len(answer), (size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
	}
	return count, nil
}
