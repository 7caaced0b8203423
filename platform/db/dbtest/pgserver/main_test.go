package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

const asProgram = "PGSERVER_TEST_PROGRAM"

// TestMain lets the test binary play pgserver, and the command that pgserver runs.
func TestMain(m *testing.M) {
	switch os.Getenv(asProgram) {
	case "":
		os.Exit(m.Run())
	default:
		main()
	}
}

func pgserver(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

func TestCommandGetsServerAndGivesItsCode(t *testing.T) {
	file := filepath.Join(t.TempDir(), "url")
	cmd := pgserver(t, "-url-env", "MY_URL", "--", "sh", "-c", `printf %s "$MY_URL" >`+file+`; exit 7`)
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 7 {
		t.Errorf("exit code %d, expected the command's 7: %v\n%s", code, err, out)
	}
	url, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.ParseConfig(string(url)); err != nil || len(url) == 0 {
		t.Errorf("the command got %q as URL: %v", url, err)
	}
	if conn, err := pgx.Connect(t.Context(), string(url)); err == nil {
		t.Errorf("the server outlived its command: %v", conn.Close(t.Context()))
	}
}

// TestSignalReachesCommand uses a command that says when it is ready for the signal.
func TestSignalReachesCommand(t *testing.T) {
	cmd := pgserver(t, "--", "sh", "-c", `trap 'exit 9' TERM; echo ready; while :; do read -r _; done`)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // reports the code, which is checked here
	if code := cmd.ProcessState.ExitCode(); code != 9 {
		t.Errorf("exit code %d, expected 9 from the command's own handler", code)
	}
}

func TestWrongUse(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
	}{
		{nil, exitUsage},
		{[]string{"-nonsense"}, exitUsage},
		{[]string{"-max-wal-size", "nonsense", "--", "true"}, exitServer},
		{[]string{"--", "/no/such/command"}, 127},
	} {
		cmd := pgserver(t, test.args...)
		var out bytes.Buffer
		cmd.Stderr = &out
		_ = cmd.Run() // reports the code, which is checked here
		if code := cmd.ProcessState.ExitCode(); code != test.code || out.Len() == 0 {
			t.Errorf("%q: exit code %d and message %q, expected %d and a message", test.args, code, out.String(),
				test.code)
		}
	}
}
