package shell

import (
	"context"
	"runtime"
	"testing"
)

// TestCommandsOutliveOtherThreads ends threads of this process continuously. A command whose death signal depended on
// one of them would be killed.
func TestCommandsOutliveOtherThreads(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	for range 2 {
		go func() {
			for ctx.Err() == nil {
				endOneThread()
			}
			stopped <- struct{}{}
		}()
	}
	const commands = 200
	h, results := handler(t), make(chan error)
	for range commands {
		go func() {
			_, err := h.Run(t.Context(), call("sleep 0.05"))
			results <- err
		}()
	}
	for range commands {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	cancel()
	<-stopped
	<-stopped
}

// endOneThread ends a thread: the runtime ends the thread of a goroutine that returns while locked to it.
func endOneThread() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
	}()
	<-ended
}
