package link

// onOtherStack runs f on a goroutine of its own and waits for it, so that the stack that f needs is not
// kept by a goroutine that lasts.
func onOtherStack(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}
