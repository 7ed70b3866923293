// One flag-server for the tests of this package. Each test has a run on it, with a scenario and records of its own.
package downloads

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

var root, control string

func TestMain(m *testing.M) {
	server := exec.Command("flag-server", "--profile", "local", "--port", "0", "--control", "127.0.0.1:0")
	server.Stderr = os.Stderr
	lines, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		log.Fatal(err)
	}
	// One line for each listener, NAME URL, as soon as all of them accept. The control plane's is the last.
	scanner := bufio.NewScanner(lines)
	for control == "" && scanner.Scan() {
		name, address, _ := strings.Cut(scanner.Text(), " ")
		if name == "control" {
			control = address
		} else {
			root = address
		}
	}
	if control == "" {
		log.Fatal("flag-server did not start; see its message above")
	}
	code := m.Run()
	server.Process.Signal(syscall.SIGTERM) // requests in flight may finish
	server.Wait()
	os.Exit(code)
}

// What a test asserts on; docs/control.md lists all of a record.
type record struct {
	Sent           struct{ Status int }
	Headers        [][2]string
	ReceivedUnixMs float64 `json:"received_unix_ms"`
}

// What one test says to the server, and asks it. No other test notices.
func ask(t *testing.T, method, path, body string) []byte {
	t.Helper()
	address := fmt.Sprintf("%s/api/runs/%s%s", control, url.PathEscape(t.Name()), path)
	request, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	if response.StatusCode >= 300 {
		t.Fatalf("%s", text)
	}
	return text
}

// The base of the flags of this test, which meet a scenario that ends by itself, should the test die.
func flags(t *testing.T, scenario string) string {
	t.Helper()
	ask(t, "PUT", "/scenario?for=1m", scenario)
	return fmt.Sprintf("%s/run/%s/flags", root, url.PathEscape(t.Name()))
}

// What the server received and sent, as soon as these requests are over.
func records(t *testing.T, count int) []record {
	t.Helper()
	var found struct {
		Complete bool
		Records  []record
	}
	text := ask(t, "GET", fmt.Sprintf("/records?count=%d&settled=true&wait=5s", count), "")
	if err := json.Unmarshal(text, &found); err != nil || !found.Complete {
		t.Fatalf("%v %s", err, text)
	}
	return found.Records
}

// The code under test.
func download(address string, attempts int, pause time.Duration) (string, error) {
	for attempt := 1; ; attempt++ {
		response, err := http.Get(address)
		if err != nil {
			return "", err
		}
		image, err := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode == 200 {
			return string(image), err
		}
		if attempt == attempts {
			return "", fmt.Errorf("gave up: %s", response.Status)
		}
		time.Sleep(pause)
	}
}

func retry(t *testing.T) string {
	t.Helper()
	scenario, err := os.ReadFile("../retry.toml")
	if err != nil {
		t.Fatal(err)
	}
	return string(scenario)
}

func TestADownloadSurvivesTwoFailures(t *testing.T) {
	t.Parallel()
	image, err := download(flags(t, retry(t))+"/br/br.gif", 3, 100*time.Millisecond)
	if err != nil || !strings.HasPrefix(image, "GIF89a") {
		t.Fatal(err)
	}
	found := records(t, 3)
	for index, status := range []int{503, 503, 200} {
		if found[index].Sent.Status != status {
			t.Errorf("attempt %d: %+v", index+1, found[index])
		}
		if index > 0 && found[index].ReceivedUnixMs-found[index-1].ReceivedUnixMs < 100 {
			t.Errorf("no pause before attempt %d", index+1)
		}
	}
}

func TestADownloadGivesUpAfterItsLastAttempt(t *testing.T) {
	t.Parallel()
	if _, err := download(flags(t, retry(t))+"/br/br.gif", 2, 0); err == nil {
		t.Fatal("two attempts are too few")
	}
	if found := records(t, 2); len(found) != 2 {
		t.Fatalf("%+v", found)
	}
}
