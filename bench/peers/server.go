// Go's net package: one goroutine per connection, which blocks in Read and Write while the runtime waits for all of them in one epoll.
// It sets TCP_NODELAY on accepted sockets; its backlog is the system's somaxconn and cannot be set.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	bufferSize = 65536
	longest    = 1 << 20
)

// Each serves one connection until it ends or its bytes are invalid.
var applications = map[string]func(net.Conn){"echo": echo, "chat": chat, "rpc": rpc}

func main() {
	var name string
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	serve := applications[name]
	if serve == nil && name != "http" {
		fmt.Fprintln(os.Stderr, "server.go takes one of echo, chat, rpc, http")
		os.Exit(2)
	}
	runtime.GOMAXPROCS(1) // as the servers beside it, it computes on one thread at a time
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("listening on", listener.Addr())
	if name == "http" {
		fmt.Fprintln(os.Stderr, http.Serve(listener, http.HandlerFunc(path)))
		os.Exit(1)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			time.Sleep(10 * time.Millisecond) // no descriptor is left: one may be in a moment
			continue
		}
		go serve(conn)
	}
}

// path answers a request of net/http by its path, as text.
func path(response http.ResponseWriter, request *http.Request) {
	response.Header().Set("Content-Type", "text/plain")
	io.WriteString(response, request.URL.Path)
}

func echo(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, bufferSize)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

type request struct {
	In string `json:"in"`
	// Read as JSON, but not into maps: those would forget the order of the keys.
	Params json.RawMessage `json:"params"`
}

type reply struct {
	Out    string          `json:"out"`
	Result json.RawMessage `json:"result"`
}

// rpc takes frames of a length (4 bytes, little-endian) and as many bytes of JSON, and answers a ping by a pong.
func rpc(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, bufferSize)
	out := bufio.NewWriterSize(conn, bufferSize)
	// Replies are sent before the next wait.
	read := func(bytes []byte) error {
		if in.Buffered() < len(bytes) {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		_, err := io.ReadFull(in, bytes)
		return err
	}
	var prefix [4]byte
	var body []byte
	var answer bytes.Buffer
	encoder := json.NewEncoder(&answer)
	encoder.SetEscapeHTML(false)
	for {
		if read(prefix[:]) != nil {
			return
		}
		length := int(binary.LittleEndian.Uint32(prefix[:]))
		if length > longest {
			return
		}
		if length > cap(body) {
			body = make([]byte, length)
		}
		body = body[:length]
		if read(body) != nil {
			return
		}
		var ping request
		if json.Unmarshal(body, &ping) != nil || ping.In != "ping" {
			return
		}
		answer.Reset()
		answer.Write(prefix[:])
		if encoder.Encode(reply{"pong", ping.Params}) != nil {
			return
		}
		answer.Truncate(answer.Len() - 1) // the encoder ends with a newline
		binary.LittleEndian.PutUint32(answer.Bytes(), uint32(answer.Len()-len(prefix)))
		if _, err := out.Write(answer.Bytes()); err != nil {
			return
		}
	}
}

var room = struct {
	sync.Mutex
	members map[*member]bool
}{members: map[*member]bool{}}

// All members write to a member: their messages are queued until its own goroutine has sent them.
type member struct {
	sync.Mutex
	changed sync.Cond
	waiting net.Buffers
	left    bool
}

// chat takes lines of {"user": "ann", "text": "hello"}, and sends [ann] hello to everybody.
func chat(conn net.Conn) {
	m := &member{}
	m.changed.L = m
	room.Lock()
	room.members[m] = true
	room.Unlock()
	go m.write(conn)
	lines := bufio.NewScanner(conn)
	lines.Buffer(make([]byte, bufferSize), longest)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		message, err := chatLine(lines.Bytes())
		if err != nil {
			break
		}
		room.Lock()
		for other := range room.members {
			other.send(message)
		}
		room.Unlock()
		m.wait()
	}
	room.Lock()
	delete(room.members, m)
	room.Unlock()
	m.leave()
}

func (m *member) send(message []byte) {
	m.Lock()
	m.waiting = append(m.waiting, message)
	m.Unlock()
	m.changed.Broadcast()
}

// wait returns when the queue is being sent: a member that does not read is not read from either.
func (m *member) wait() {
	m.Lock()
	for len(m.waiting) > 0 && !m.left {
		m.changed.Wait()
	}
	m.Unlock()
}

func (m *member) leave() {
	m.Lock()
	m.left = true
	m.Unlock()
	m.changed.Broadcast()
}

// write sends the queue, all of it at once, until the member has left.
func (m *member) write(conn net.Conn) {
	defer conn.Close() // so that a blocked reader returns
	defer m.leave()
	for {
		m.Lock()
		for len(m.waiting) == 0 && !m.left {
			m.changed.Wait()
		}
		waiting := m.waiting
		m.waiting = nil
		m.Unlock()
		m.changed.Broadcast()
		if len(waiting) == 0 {
			return
		}
		if _, err := waiting.WriteTo(conn); err != nil {
			return
		}
	}
}

// A newline in the text would let a client send lines in another user's name.
var breaks = regexp.MustCompile("[\r\n\u2028\u2029]+")

func chatLine(line []byte) ([]byte, error) {
	var message struct{ User, Text *string }
	if err := json.Unmarshal(line, &message); err != nil {
		return nil, err
	}
	if message.User == nil || message.Text == nil {
		return nil, errors.New("no message")
	}
	text := "[" + *message.User + "] " + *message.Text
	if strings.ContainsAny(text, "\r\n\u2028\u2029") {
		text = breaks.ReplaceAllString(text, " ")
	}
	return []byte(text + "\n"), nil
}
