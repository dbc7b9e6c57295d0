package link

import "sync"

// Close tells all clients to come back later, at moments spread over Config.Grace, or over 1 s or 30 s where that is less or more,
// ends their connections, and returns when all calls of Serve have returned. The sessions are forgotten. A second Close is harmless.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-s.done
		return nil
	}
	s.closed = true
	links := make([]*served, 0, len(s.links))
	for _, l := range s.links {
		links = append(links, l)
	}
	s.mu.Unlock()
	s.sendAway(links)
	s.cancel()
	s.det.Close()
	s.wg.Wait()
	s.hub.Close()
	close(s.done)
	return nil
}

// partingAtOnce is how many connections are told to come back later at a time: each takes a goroutine, and a million at once take
// most of the time to look after each other.
const partingAtOnce = 1024

// sendAway tells the clients to come back later, and ends their connections. It returns when all were told, or could not be.
func (s *Server) sendAway(links []*served) {
	waiting := make(chan *served)
	var wg sync.WaitGroup
	for range min(partingAtOnce, len(links)) {
		wg.Go(func() {
			for l := range waiting {
				l.write(control{Type: typeRetry, After: millis(jitter(spread(s.cfg.Grace)))}.frame())
				s.drop(l, Local, CodeGoingAway, "the server goes away")
				l.parted()
			}
		})
	}
	for _, l := range links {
		waiting <- l
	}
	close(waiting)
	wg.Wait()
}
