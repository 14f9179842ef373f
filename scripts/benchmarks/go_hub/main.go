// A hub with write pumps on gorilla/websocket, as its chat example has it
// (https://github.com/gorilla/websocket/tree/main/examples/chat): one goroutine owns all subscriptions, every client
// has a buffered channel of messages, and two goroutines that read and write. Events come as lines, `channel TAB
// message`, on a second port.
//
// As in that example, but for two things. Queued messages are not joined into one frame, since a message is a frame here.
// And there is no PreparedMessage: what it would save is that the library copies 400 bytes for each client, before a
// write to the socket that costs fifty times as much. The buffers are the example's; compression is off everywhere.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

const (
	sendBuffer = 256
	writeWait  = 10 * time.Second
	pongWait   = 60 * time.Second
	pingPeriod = 54 * time.Second
)

var upgrader = websocket.Upgrader{
	ReadBufferSize:  1024,
	WriteBufferSize: 1024,
	CheckOrigin:     func(*http.Request) bool { return true },
}

type request struct {
	Type    string `json:"type"`
	Channel string `json:"channel"`
}

type client struct {
	conn *websocket.Conn
	send chan []byte
}

type subscription struct {
	client  *client
	channel string
}

type event struct {
	channel string
	message []byte
}

type hub struct {
	channels  map[string]map[*client]bool
	joined    map[*client][]string
	subscribe chan subscription
	leave     chan *client
	events    chan event
}

func newHub() *hub {
	return &hub{
		channels:  make(map[string]map[*client]bool),
		joined:    make(map[*client][]string),
		subscribe: make(chan subscription),
		leave:     make(chan *client),
		events:    make(chan event, sendBuffer),
	}
}

func (h *hub) run() {
	for {
		select {
		case s := <-h.subscribe:
			if h.channels[s.channel] == nil {
				h.channels[s.channel] = make(map[*client]bool)
			}
			h.channels[s.channel][s.client] = true
			h.joined[s.client] = append(h.joined[s.client], s.channel)
			answer, _ := json.Marshal(map[string]string{"type": "subscribed", "channel": s.channel})
			h.offer(s.client, answer)
		case c := <-h.leave:
			h.remove(c)
		case e := <-h.events:
			for c := range h.channels[e.channel] {
				h.offer(c, e.message)
			}
		}
	}
}

// offer hands a message to a client; one that does not keep up is sent away.
func (h *hub) offer(c *client, message []byte) {
	select {
	case c.send <- message:
	default:
		h.remove(c)
	}
}

func (h *hub) remove(c *client) {
	channels, known := h.joined[c]
	if !known {
		return
	}
	for _, channel := range channels {
		delete(h.channels[channel], c)
		if len(h.channels[channel]) == 0 {
			delete(h.channels, channel)
		}
	}
	delete(h.joined, c)
	close(c.send)
}

func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &client{conn: conn, send: make(chan []byte, sendBuffer)}
	go c.writePump()
	go c.readPump(h)
}

func (c *client) readPump(h *hub) {
	defer func() {
		h.leave <- c
		c.conn.Close()
	}()
	c.conn.SetReadLimit(65536)
	c.conn.SetReadDeadline(time.Now().Add(pongWait))
	c.conn.SetPongHandler(func(string) error { return c.conn.SetReadDeadline(time.Now().Add(pongWait)) })
	for {
		_, data, err := c.conn.ReadMessage()
		if err != nil {
			return
		}
		var asked request
		if json.Unmarshal(data, &asked) == nil && asked.Type == "subscribe" {
			h.subscribe <- subscription{c, asked.Channel}
		}
	}
}

func (c *client) writePump() {
	ticker := time.NewTicker(pingPeriod)
	defer func() {
		ticker.Stop()
		c.conn.Close()
	}()
	for {
		select {
		case message, ok := <-c.send:
			c.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if !ok {
				c.conn.WriteMessage(websocket.CloseMessage, []byte{})
				return
			}
			if c.conn.WriteMessage(websocket.TextMessage, message) != nil {
				return
			}
		case <-ticker.C:
			c.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if c.conn.WriteMessage(websocket.PingMessage, nil) != nil {
				return
			}
		}
	}
}

func (h *hub) feed(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer conn.Close()
			lines := bufio.NewScanner(conn)
			lines.Buffer(make([]byte, 65536), 1<<20)
			for lines.Scan() {
				channel, message, _ := bytes.Cut(bytes.Clone(lines.Bytes()), []byte{'\t'})
				h.events <- event{string(channel), message}
			}
		}()
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "where clients connect")
	feed := flag.String("feed", "127.0.0.1:8081", "where events come from")
	flag.Parse()
	h := newHub()
	go h.run()
	go h.feed(*feed)
	http.HandleFunc("/ws", h.serve)
	log.Fatal(http.ListenAndServe(*listen, nil))
}
