//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// client opens connections to a server, and answers its pings with as little work as can be: it
// takes the time of the same cores. One goroutine opens them, and one reads all. arg is the number
// of connections and the address.
func client(arg string, in io.Reader, out io.Writer) error {
	number, addr, _ := strings.Cut(arg, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	to, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return err
	}
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	var c answers
	go c.read(poll)
	for i := range n {
		if err := c.open(poll, to); err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
	}
	if err := json.NewEncoder(out).Encode(sample{}); err != nil {
		return err
	}
	return answer(in, out, func(string) (sample, error) {
		return sample{Beats: c.beats.Load(), Open: n - int(c.ended.Load())}, nil
	})
}

// answers reads all connections and answers their pings.
type answers struct {
	beats, ended atomic.Uint64
	begun        map[int][]byte // a frame of which a part came
}

// open makes one connection. It ends with a reset, so that its port is free for the next turn.
func (c *answers) open(poll int, to *net.TCPAddr) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	reset := &syscall.Linger{Onoff: 1}
	if err := syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, reset); err != nil {
		return err
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return err
	}
	peer := &syscall.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}
	if err := syscall.Connect(fd, peer); err != nil {
		return err
	}
	request := "GET /ws HTTP/1.1\r\nHost: " + to.String() + "\r\n" +
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" // of RFC 6455, section 1.3
	if _, err := syscall.Write(fd, []byte(request)); err != nil {
		return err
	}
	head := make([]byte, 1024)
	n, end := 0, -1
	for end < 0 { // a ping may follow at once: it is left for read
		k, _, err := syscall.Recvfrom(fd, head[n:], syscall.MSG_PEEK)
		if err == syscall.EINTR {
			continue
		}
		if err == nil && k > 0 {
			end = bytes.Index(head[:n+k], []byte("\r\n\r\n"))
			if end >= 0 {
				k = end + 4 - n
			}
			k, err = syscall.Read(fd, head[n:n+k])
			n += k
		}
		if err != nil || k == 0 || n == len(head) {
			err = errors.Join(err, io.ErrUnexpectedEOF)
			return fmt.Errorf("no answer to the request: %q, %w", head[:n], err)
		}
	}
	head = head[:n]
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101")) {
		return fmt.Errorf("refused: %q", head)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		return err
	}
	e := &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
	return syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, fd, e)
}

func (c *answers) read(poll int) {
	c.begun = map[int][]byte{}
	events := make([]syscall.EpollEvent, 1024)
	buf := make([]byte, 64<<10)
	for {
		k, err := syscall.EpollWait(poll, events, -1)
		if err != nil && err != syscall.EINTR {
			panic(err)
		}
		for _, e := range events[:max(0, k)] {
			fd := int(e.Fd)
			n, err := syscall.Read(fd, buf)
			if err == syscall.EAGAIN || err == syscall.EINTR {
				continue
			}
			if err != nil || n == 0 {
				syscall.Close(fd)
				c.ended.Add(1)
				continue
			}
			got := buf[:n]
			if before, ok := c.begun[fd]; ok {
				got = append(before, got...)
				delete(c.begun, fd)
			}
			if rest := c.frames(fd, got); len(rest) > 0 {
				c.begun[fd] = bytes.Clone(rest)
			}
		}
	}
}

// frames answers the pings among whole frames, and returns the rest.
func (c *answers) frames(fd int, p []byte) (rest []byte) {
	for len(p) >= 2 {
		size := 2 + int(p[1])
		if p[1] == 126 && len(p) >= 4 {
			size = 4 + int(p[2])<<8 + int(p[3])
		}
		if p[1] == 126 && len(p) < 4 || len(p) < size {
			return p
		}
		if p[0] == 0x89 {
			// The answer repeats the payload. A mask of zeros (RFC 6455, section 5.3) leaves it as it is.
			var buf [6 + 125]byte
			buf[0], buf[1] = 0x8A, 0x80|p[1]
			if _, err := syscall.Write(fd, buf[:6+copy(buf[6:], p[2:size])]); err == nil {
				c.beats.Add(1)
			}
		}
		p = p[size:]
	}
	return p
}
