package http

import (
	"encoding/json"
	"fmt"
	"io"
	nethttp "net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/tasks"
)

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name, contentType, body string
		want                    string
	}{
		{
			"text", "text/plain", "häl\"lo\n",
			`{"status":200,"headers":{"content-type":"text/plain"},"bytes":8,"body":"häl\"lo\n"}`,
		},
		{"empty", "text/plain", "", `{"status":200,"headers":{"content-type":"text/plain"},"bytes":0,"body":""}`},
		{
			"JSON", "application/json; charset=utf-8", `{"n": 9007199254740993, "x": "<"}`,
			`{"status":200,"headers":{"content-type":"application/json; charset=utf-8"},"bytes":33,` +
				`"body":{"n":9007199254740993,"x":"<"}}`,
		},
		{
			"kind of JSON", "application/problem+json", `[null]`,
			`{"status":200,"headers":{"content-type":"application/problem+json"},"bytes":6,"body":[null]}`,
		},
		{
			"empty JSON", "application/json", " \n",
			`{"status":200,"headers":{"content-type":"application/json"},"bytes":2}`,
		},
		{
			"JSON as text", "text/plain", `{}`,
			`{"status":200,"headers":{"content-type":"text/plain"},"bytes":2,"body":"{}"}`,
		},
		{
			"bytes", "image/x", "a\x00\xff\xfeb",
			`{"status":200,"headers":{"content-type":"image/x"},"bytes":5,"body":"YQD//mI=","encoding":"base64"}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, url := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
				w.Header().Set("Content-Type", c.contentType)
				w.Header().Set("Set-Cookie", "secret=1")
				_, _ = io.WriteString(w, c.body)
			})
			got, err := do(t.Context(), h, `{"url":"`+url+`"}`)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKeptHeaders(t *testing.T) {
	h, url := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		for name, value := range map[string]string{
			"Content-Type": "text/css", "ETag": `"v1"`, "Last-Modified": "Mon, 02 Jan 2006 15:04:05 GMT",
			"Location": "/x", "X-Other": "y",
		} {
			w.Header().Set(name, value)
		}
	})
	out, err := do(t.Context(), h, `{"url":"`+url+`","method":"HEAD"}`)
	if err != nil {
		t.Fatal(err)
	}
	var got response
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"content-type": "text/css", "etag": `"v1"`, "last-modified": "Mon, 02 Jan 2006 15:04:05 GMT", "location": "/x",
	}
	if diff := cmp.Diff(want, got.Headers); diff != "" {
		t.Error(diff)
	}
}

func TestRequests(t *testing.T) {
	echo := func(w nethttp.ResponseWriter, r *nethttp.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "%s %s %s|%s|%s|%s|%s", r.Method, r.URL, r.Host, r.UserAgent(), r.Header.Get("Content-Type"),
			r.Header.Get("X-Key"), body)
	}
	h, url := serve(t, echo)
	host := strings.TrimPrefix(url, "http://")
	for _, c := range []struct{ name, with, want string }{ // with is appended to the JSON after the URL
		{"least", ``, "GET /a?b=c " + host + "|sluice|||"},
		{"method", `,"method":"delete"`, "DELETE /a?b=c " + host + "|sluice|||"},
		{"text", `,"body":"x\ny"`, "POST /a?b=c " + host + "|sluice|text/plain; charset=utf-8||x\ny"},
		{"JSON", `,"body":{"n":9007199254740993}`, "POST /a?b=c " + host +
			`|sluice|application/json||{"n":9007199254740993}`},
		{"false is a body", `,"body":false`, "POST /a?b=c " + host + "|sluice|application/json||false"},
		{"empty text is a body", `,"body":""`, "POST /a?b=c " + host + "|sluice|text/plain; charset=utf-8||"},
		{"null is none", `,"body":null`, "GET /a?b=c " + host + "|sluice|||"},
		{"PUT", `,"method":"PUT","body":[1]`, "PUT /a?b=c " + host + "|sluice|application/json||[1]"},
		{
			"headers", `,"body":"a: b","headers":{"content-type":"application/yaml","x-key":12,` +
				`"Host":"other.example","User-Agent":"me"}`,
			"POST /a?b=c other.example|me|application/yaml|12|a: b",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := do(t.Context(), h, `{"url":"`+url+`/a?b=c"`+c.with+`}`)
			if err != nil {
				t.Fatal(err)
			}
			var got response
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.Body); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStatuses(t *testing.T) {
	h, url := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		var status int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &status); err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "be\x00cause "+strings.Repeat("z", 10_000))
	})
	for _, c := range []struct {
		status int
		expect string
		kind   tasks.ErrorKind // empty: no error
	}{
		{200, "", ""},
		{201, "", ""},
		{404, "", tasks.KindPermanent},
		{400, "", tasks.KindPermanent},
		{499, "", tasks.KindPermanent},
		{408, "", tasks.KindHTTP},
		{425, "", tasks.KindHTTP},
		{429, "", tasks.KindHTTP},
		{500, "", tasks.KindHTTP},
		{503, "", tasks.KindHTTP},
		{301, "", tasks.KindHTTP}, // without a Location, the redirect cannot be followed
		{404, "[404, 200]", ""},
		{200, "[404]", tasks.KindHTTP},
		{503, "[503]", ""},
	} {
		with := fmt.Sprintf(`{"url":"%s/%d"}`, url, c.status)
		if c.expect != "" {
			with = fmt.Sprintf(`{"url":"%s/%d","expect_status":%s}`, url, c.status, c.expect)
		}
		out, err := do(t.Context(), h, with)
		if c.kind == "" {
			if err != nil || !strings.HasPrefix(string(out), fmt.Sprintf(`{"status":%d,`, c.status)) {
				t.Errorf("%d, expecting %s: got %.100s, %v", c.status, c.expect, out, err)
			}
			continue
		}
		wants(t, err, c.kind, fmt.Sprintf("GET %s/%d: answered %d", url, c.status, c.status))
		if !strings.Contains(err.Error(), ": because zzz") || len(err.Error()) > 2*errorStart {
			t.Errorf("%d: the error does not show the start of the body: %v", c.status, err)
		}
	}
}

func TestRedirections(t *testing.T) {
	h, url := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		var n int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &n); err != nil {
			t.Error(err)
		}
		if n == 0 {
			body, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, "arrived with "+r.Method+" "+string(body))
			return
		}
		nethttp.Redirect(w, r, fmt.Sprintf("/%d", n-1), nethttp.StatusTemporaryRedirect)
	})
	out, err := do(t.Context(), h, `{"url":"`+url+`/10","body":"text"}`)
	if err != nil || !strings.Contains(string(out), `"arrived with POST text"`) {
		t.Errorf("ten redirections: got %s, %v", out, err)
	}
	_, err = do(t.Context(), h, `{"url":"`+url+`/11"}`)
	wants(t, err, tasks.KindError, "more than 10 redirections")
	out, err = do(t.Context(), h, `{"url":"`+url+`/3","expect_status":[307]}`)
	if err != nil || !strings.Contains(string(out), `"location":"/2"`) {
		t.Errorf("a redirection that is expected: got %s, %v", out, err)
	}
}
