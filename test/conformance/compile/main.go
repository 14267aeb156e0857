// Command compile turns OPA's own evaluation cases into WebAssembly modules, one after the other, onto standard output.
//
// Each case leaves as two frames, each behind its length as four big-endian bytes: a JSON header that says what goes
// in and what must come out, and the module (empty where the case does not compile). The selection and the way of
// compiling follow OPA's own end-to-end test of its WebAssembly engine (internal/wasm/sdk/test/e2e).
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/test/cases"
	"github.com/open-policy-agent/opa/v1/types"
)

type header struct {
	File         string `json:"file"`
	Note         string `json:"note"`
	CompileError string `json:"compile_error,omitempty"`
	// Rego values as text, as the WebAssembly ABI's opa_value_parse reads them.
	Data  string `json:"data,omitempty"`
	Input string `json:"input,omitempty"`

	WantDefined  *bool    `json:"want_defined,omitempty"`
	WantResult   []string `json:"want_result"`
	HasResult    bool     `json:"has_result"`
	WantError    bool     `json:"want_error"`
	StrictError  bool     `json:"strict_error,omitempty"`
	SortBindings bool     `json:"sort_bindings,omitempty"`
	ErrorCode    string   `json:"error_code,omitempty"`
}

type compiled struct {
	header header
	module []byte
}

type job struct {
	testCase cases.TestCase
	version  ast.RegoVersion
	file     string
	result   chan compiled
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: compile <folder with v0/ and v1/> [text that a case's name must hold]")
		os.Exit(2)
	}
	root, filter := os.Args[1], ""
	if len(os.Args) > 2 {
		filter = os.Args[2]
	}
	registerTestSleep()

	var jobs []*job
	versions := []struct {
		name    string
		version ast.RegoVersion
	}{{"v0", ast.RegoV0}, {"v1", ast.RegoV1}}
	for _, v := range versions {
		for _, testCase := range cases.MustLoad(filepath.Join(root, v.name)).Sorted().Cases {
			file := strings.TrimPrefix(testCase.Filename, root+"/")
			if strings.Contains(file+": "+testCase.Note, filter) {
				jobs = append(jobs, &job{testCase, v.version, file, make(chan compiled, 1)})
			}
		}
	}

	// The reader of our output runs beside us: one worker fewer than there are cores, and never many results waiting.
	workers := max(1, runtime.NumCPU()-1)
	queue := make(chan *job)
	ahead := make(chan struct{}, 2*workers)
	for range workers {
		go func() {
			for j := range queue {
				j.result <- compile(j)
			}
		}()
	}
	go func() {
		for _, j := range jobs {
			ahead <- struct{}{}
			queue <- j
		}
		close(queue)
	}()

	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	for _, j := range jobs {
		c := <-j.result
		<-ahead
		text, err := json.Marshal(c.header)
		if err != nil {
			panic(err)
		}
		writeFrame(out, text)
		writeFrame(out, c.module)
	}
	if err := out.Flush(); err != nil {
		panic(err)
	}
}

func writeFrame(out io.Writer, content []byte) {
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(content)))
	for _, part := range [][]byte{length[:], content} {
		if _, err := out.Write(part); err != nil {
			panic(err)
		}
	}
}

func compile(j *job) compiled {
	tc := j.testCase
	h := header{
		File:         j.file,
		Note:         tc.Note,
		WantDefined:  tc.WantDefined,
		WantError:    tc.WantErrorCode != nil || tc.WantError != nil,
		StrictError:  tc.StrictError,
		SortBindings: tc.SortBindings,
	}
	if tc.WantErrorCode != nil {
		h.ErrorCode = *tc.WantErrorCode
	}
	if tc.Data != nil {
		h.Data = valueText(*tc.Data)
	}
	if tc.InputTerm != nil {
		h.Input = ast.MustParseTerm(*tc.InputTerm).String()
	} else if tc.Input != nil {
		h.Input = valueText(*tc.Input)
	}
	if tc.WantResult != nil {
		h.HasResult = true
		for _, bindings := range *tc.WantResult {
			h.WantResult = append(h.WantResult, valueText(bindings))
		}
	}

	options := []func(*rego.Rego){
		rego.Query(tc.Query),
		rego.SetRegoVersion(j.version),
		rego.Capabilities(ast.CapabilitiesForThisVersion(ast.CapabilitiesExperimentalKeywords(tc.ExperimentalKeywords))),
	}
	for i, module := range tc.Modules {
		options = append(options, rego.Module(fmt.Sprintf("module-%d.rego", i), module))
	}
	result, err := rego.New(options...).Compile(context.Background())
	if err != nil {
		h.CompileError = err.Error()
		return compiled{header: h}
	}
	return compiled{h, result.Bytes}
}

func valueText(value any) string {
	if bindings, ok := value.(map[string]any); ok {
		value = any(bindings)
	}
	return ast.MustInterfaceToValue(value).String()
}

// One case calls it; only its signature is needed here, what it does is the host's part.
func registerTestSleep() {
	rego.RegisterBuiltin1(&rego.Function{
		Name: "test.sleep",
		Decl: types.NewFunction(types.Args(types.S), types.NewNull()),
	}, func(rego.BuiltinContext, *ast.Term) (*ast.Term, error) {
		return ast.NullTerm(), nil
	})
}
