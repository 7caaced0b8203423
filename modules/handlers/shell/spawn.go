package shell

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// spawnerCount is the number of commands that are started concurrently. The runtime forks one at a time, but a second
// spawner can prepare the next command during a fork.
const spawnerCount = 2

// spawners start commands from threads that live at least as long as the commands they started, because the kernel
// sends a command its death signal (see attributes) when the starting thread ends, not only when the process ends.
type spawners struct {
	mu       sync.Mutex
	commands int          // to be started or running
	groups   map[int]bool // of the running commands, by id
	requests chan spawnRequest
}

type spawnRequest struct {
	cmd    *exec.Cmd
	result chan<- error
}

// start starts cmd. If it succeeds, the caller must call ended when the command has ended and before it is reaped.
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

// acquire counts a command and starts the spawners if the command is the only one.
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

// ended removes a command from the count, by the id of its group if it was started. The spawners end with the last
// command.
func (s *spawners) ended(group int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.groups, group)
	if s.commands--; s.commands == 0 {
		close(s.requests)
	}
}

// killAll kills the groups of all running commands.
func (s *spawners) killAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for group := range s.groups {
		_ = syscall.Kill(-group, syscall.SIGKILL) // an error means that no process is left
	}
}

// spawn starts commands until requests is closed. It unlocks its thread at the end so that the runtime can reuse it.
func spawn(requests <-chan spawnRequest) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for r := range requests {
		r.result <- r.cmd.Start()
	}
}
