package shell

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// spawnerCount is how many commands are started at the same time. The runtime forks one at a time; a second spawner prepares the
// next command meanwhile.
const spawnerCount = 2

// spawners start commands from threads that live at least as long as every command that they have started: the kernel sends a
// command its death signal (see attributes) when the thread that started it ends, not only when the process does.
type spawners struct {
	mu       sync.Mutex
	commands int          // that are to start or run
	groups   map[int]bool // of those that run, by their id
	requests chan spawnRequest
}

type spawnRequest struct {
	cmd    *exec.Cmd
	result chan<- error
}

// start starts cmd. If it succeeds, the caller calls ended when the command has ended, before it reaps it.
func (s *spawners) start(cmd *exec.Cmd) error {
	result := make(chan error, 1)
	s.acquire() <- spawnRequest{cmd, result}
	err := <-result
	if err != nil {
		s.ended(0)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups[cmd.Process.Pid] = true
	return nil
}

// acquire counts a command, and starts the spawners if it is the only one.
func (s *spawners) acquire() chan<- spawnRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.commands++; s.commands == 1 {
		s.requests, s.groups = make(chan spawnRequest), map[int]bool{}
		for range spawnerCount {
			go spawn(s.requests)
		}
	}
	return s.requests
}

// ended counts a command off, by the id of its group if it has been started. The spawners end with the last.
func (s *spawners) ended(group int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.groups, group)
	if s.commands--; s.commands == 0 {
		close(s.requests)
	}
}

// killAll kills the groups of all commands that run.
func (s *spawners) killAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for group := range s.groups {
		_ = syscall.Kill(-group, syscall.SIGKILL) // an error is that there is nobody left to get it
	}
}

// spawn starts commands until there are no more. It unlocks its thread at the end, so that the runtime keeps the thread.
func spawn(requests <-chan spawnRequest) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for r := range requests {
		r.result <- r.cmd.Start()
	}
}
