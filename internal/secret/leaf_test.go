package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// randomPEM returns a key of n random bytes in PEM.
func randomPEM(n int, seed uint64) string {
	rnd := rand.New(rand.NewPCG(seed, 7))
	raw := make([]byte, n)
	for i := range raw {
		raw[i] = byte(rnd.Uint32())
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

func jsonText(t testing.TB, v any, indent string) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

const token = "sha256~AbCdEf0123456789AbCdEf0123"

func serviceAccount(t testing.TB, key, indent string) string {
	return jsonText(t, map[string]string{
		"type": "service_account", "project_id": "demo-1", "private_key_id": "3f1c9a0b7d5e4f6a8b2c1d0e9f8a7b6c5d4e3f2a", "private_key": key,
		"client_email": "ci-runner@demo-1.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
		"client_x509_cert_url": "https://www.googleapis.com/robot/v1/metadata/x509/ci%40demo-1.iam.gserviceaccount.com",
	}, indent)
}

func kubeconfigOf(key string) string {
	return `apiVersion: v1
kind: Config
current-context: default
clusters:
- name: kubernetes
  cluster:
    server: https://10.0.0.1:6443
    certificate-authority-data: ` + b64(randomPEM(300, 9)) + `
contexts:
- name: default
  context: {cluster: kubernetes, namespace: default, user: admin}
users:
- name: admin
  user:
    client-key-data: ` + b64(key) + `
    token: ` + token + `
    username: operator
    password: "hunter2"
`
}

// TestLeavesOfStructures checks which parts of secrets in JSON, YAML or lines with pairs are masked, and which stay readable.
func TestLeavesOfStructures(t *testing.T) {
	key := randomPEM(200, 8)
	lines := strings.Split(strings.TrimSpace(key), "\n")
	keyForms := append([]string{key, b64(key), b64(b64(key)), jsonText(t, key, "")}, lines[1:len(lines)-1]...)
	for _, tc := range []struct {
		name, value    string
		hides, remains []string
	}{
		{
			"service account", serviceAccount(t, key, "  "), append(keyForms, "3f1c9a0b7d5e4f6a8b2c1d0e9f8a7b6c5d4e3f2a"),
			[]string{`"type": "service_account"`, "demo-1", "ci-runner@demo-1.iam.gserviceaccount.com", "https://oauth2.googleapis.com/token", "client_x509_cert_url", "private_key", "{\n", "-----BEGIN PRIVATE KEY-----"},
		},
		{"service account in one line", serviceAccount(t, key, ""), keyForms, []string{`"type":"service_account"`, "demo-1"}},
		{
			"kubeconfig", kubeconfigOf(key), append(keyForms, token, "hunter2", b64("x"+token), url.QueryEscape(token)),
			[]string{"apiVersion: v1\nkind: Config\n", "  namespace: default\n", "cluster: kubernetes", "current-context: default", "certificate-authority-data", "operator", "https://10.0.0.1:6443", "kubernetes default admin"},
		},
		{"kubeconfig in base64", b64(kubeconfigOf(key)), append(keyForms, token, "hunter2"), []string{"namespace: default", "kubernetes"}},
		{
			"registry", `{"auths": {"https://index.docker.io/v1/": {"auth": "` + b64("robot:p4ss-w0rd") + `"}}}`,
			[]string{b64("robot:p4ss-w0rd"), "robot:p4ss-w0rd", "p4ss-w0rd", b64(`{"auth":"` + b64("robot:p4ss-w0rd") + `"}`)},
			[]string{"robot", "https://index.docker.io/v1/", "auths"},
		},
		{
			"Kubernetes secret", "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: default}\ndata:\n  password: " + b64("hunter2") + "\n",
			[]string{b64("hunter2"), "hunter2"},
			[]string{"namespace: default", "kind: Secret", "name: db"},
		},
		{
			"a registry's secret in a manifest in base64", b64("apiVersion: v1\nkind: Secret\ndata:\n  .dockerconfigjson: " + b64(`{"auths": {"index.docker.io": {"auth": "`+b64("robot:p4ss-w0rd")+`"}}}`) + "\n"),
			[]string{b64("robot:p4ss-w0rd"), "robot:p4ss-w0rd", "p4ss-w0rd"},
			[]string{"robot", "kind: Secret"},
		},
		{
			"passwords like structures", "user: ci\npassword: \"{hunter2}\"\ntoken: '{\"a\":\"forty\"}'\nsecret: sw0rd-fish\n",
			[]string{"{hunter2}", `{"a":"forty"}`, "sw0rd-fish"},
			[]string{"user: ci", "hunter2", "forty"},
		},
		{
			"short values without a naming key", `{"realm": "prod", "answer": "k2", "code": "12-34", "port": 8443}`,
			[]string{`"code": "12-34"`},
			[]string{`"realm": "prod"`, `"port": 8443`, "12-34"},
		},
		{"only words", `{"answer": "forty", "kind": "Config"}`, []string{`{"answer": "forty", "kind": "Config"}`}, []string{"forty", "Config"}},
		{"YAML's quotes", "a: 'it''s-a-long-0ne-of-2'\nb: \"tab\\tand 1 more line\\n2\"\nc: |\n  hunter22\n  hunter33\n", []string{"it's-a-long-0ne-of-2", "it''s-a-long-0ne-of-2", "tab\tand 1 more line", "hunter22", "hunter33"}, []string{"a: b"}},
		{"a folded scalar", "user: ci\ntoken: \"abcdefgh\n  ijkl\"\n", []string{"abcdefgh ijkl"}, []string{"user: ci"}},
		{"JSON in YAML", "config.json: '{\"clientSecret\": \"Xy8Q~abc\", \"name\": \"web\"}'\nkind: Config\n", []string{"Xy8Q~abc"}, []string{"web", `"name": "web"`, "config.json"}},
		{
			"paths and addresses", "kind: Config\nclient-key: /etc/kubernetes/admin.key\nissued_by: https://accounts.example.org/o/oauth2/auth\ncontact: ops-team@example-corp.org\nhook: https://example.org/a?s=Zz9\ntopic: https://hooks.example.org/services/T0AB12cd/XyZ9aB3k\n",
			[]string{"https://example.org/a?s=Zz9", "https://hooks.example.org/services/T0AB12cd/XyZ9aB3k"},
			[]string{"/etc/kubernetes/admin.key", "https://accounts.example.org/o/oauth2/auth", "ops-team@example-corp.org"},
		},
		{"a public key", "kind: Config\npublic_key: ed-1x2y\nprivateKey: ed-3x4y\nssl-key-data: ab1-cd2\n", []string{"ed-3x4y", "ab1-cd2", "public_key: ed-1x2y"}, []string{"ed-1x2y"}},
		{"a list", "- hunter2\n- sw0rdfish-sw0rdfish\n", []string{"- hunter2", "- sw0rdfish-sw0rdfish"}, []string{"hunter2"}},
		{"several documents", "kind: Config\ntoken: abcdefgh\n---\npassword: hunter2\n", []string{"hunter2"}, []string{"kind: Config"}},
		{
			"credentials of AWS", "[default]\nregion = us-east-1\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCY\n[profile prod-1]\noutput = json\n",
			[]string{"wJalrXUtnFEMI/K7MDENG/bPxRfiCY", "AKIAIOSFODNN7EXAMPLE"},
			[]string{"[default]", "region = us-east-1", "aws_secret_access_key", "[profile prod-1]", "output = json"},
		},
		{"environment", "export DB_PASSWORD='hunter2'\nDB_PASS=hunter3\nREGION=eu-1\nq9XzR7tW=prod\nDSN=postgres://app:s3cr-t@db/app\nNOTE=two words 2\n", []string{"hunter2", "hunter3", "s3cr-t", "postgres://app:s3cr-t@db/app", "NOTE=two words 2", "q9XzR7tW=prod"}, []string{"DB_PASSWORD", "REGION=eu-1", "two words 2"}},
		{"a URL", "https://u:p4ss-word@example.org/a?b=c", []string{"https://u:p4ss-word@example.org/a?b=c", "p4ss-word"}, []string{"https://example.org/a"}},
		{
			"headers", `{"headers": {"Authorization": "Basic dXNlcjpwYXNzd29yZDEyMw==", "X-Custom": "ApiKey 9944b09199c62bcf9418ad84", "Accept": "text plain", "note": "Token authentication"}}`,
			[]string{"dXNlcjpwYXNzd29yZDEyMw==", "Basic dXNlcjpwYXNzd29yZDEyMw==", "password123", "9944b09199c62bcf9418ad84"},
			[]string{"Basic", "ApiKey", "text plain", "Token authentication"},
		},
		{"a header", "Authorization: Bearer a1B2.c3D4", []string{"Authorization: Bearer a1B2.c3D4", "a1B2.c3D4"}, []string{"Authorization", "Bearer"}},
		{"two words", "Token authentication", []string{"Token authentication"}, []string{"authentication", "Token"}},
		{
			"a connection string", "Server=tcp:db.example.net,1433;User ID=app;Password=p4ss word;Encrypt=True",
			[]string{"p4ss word"},
			[]string{"Server=tcp:db.example.net,1433", "User ID=app", "Encrypt=True"},
		},
		{"an Azure connection string", "DefaultEndpointsProtocol=https;AccountName=store1;AccountKey=q9XzR7tWq9XzR7tWq9XzR7tW==;EndpointSuffix=core.windows.net", []string{"q9XzR7tWq9XzR7tWq9XzR7tW=="}, []string{"store1", "core.windows.net"}},
		{"libpq parameters", "host=db.example.org user=app password='s3cr-t' dbname=shop", []string{"s3cr-t"}, []string{"db.example.org", "shop"}},
		{"a signed address", "https://store1.example.net/c?sv=2024-01&sig=aB3%2FxYz9", []string{"aB3%2FxYz9"}, []string{"https://store1.example.net/c"}},
		{"netrc", "machine api.example.org\n  login robot\n  password p4ss-w0rd\nmachine b.example.org login x password s3cr-t2\n", []string{"p4ss-w0rd", "s3cr-t2"}, []string{"api.example.org", "robot"}},
		{"pgpass", "db.example.org:5432:shop:app:p4ss-w0rd\n*:*:*:root:s3cr-t2\n", []string{"p4ss-w0rd", "s3cr-t2"}, []string{"db.example.org", "shop"}},
		{"XML", "<settings>\n <server><id>nexus</id><username>ci</username><password>p4ss-w0rd</password></server>\n <db user=\"app\" password=\"s3cr-t2\"/>\n</settings>", []string{"p4ss-w0rd", "s3cr-t2"}, []string{"nexus", "app"}},
		{"a header of one word", "Authorization: Bearer hunter2", []string{"hunter2"}, []string{"Authorization", "Bearer"}},
		{"a scheme with digits", "token ghp_abc123", []string{"ghp_abc123"}, []string{"token"}},
		{"a key in a header", "X-Api-Key: 9944b09199", []string{"9944b09199"}, []string{"X-Api-Key"}},
		{"quotes in pairs", `host=db password='it\'s 4 me' dbname=shop`, []string{"it's 4 me"}, []string{"dbname=shop", "host=db"}},
		{"quotes in a connection string", `Server=db;Secret="a;b ""c 1";Encrypt=True`, []string{`a;b "c 1`}, []string{"Server=db", "Encrypt=True"}},
		{"connection strings in JSON", `{"ConnectionStrings": {"Default": "Server=db;User Id=sa;Password=Zk39dkwlq"}, "dsn": "host=db user=app password=Zk39dkwl2"}`, []string{"Zk39dkwlq", "Zk39dkwl2"}, []string{"Server=db;User Id=sa", "Default"}},
		{"a URL with settings", "https://app.example.org/items?sort_key=name&verify_token=false&sig=aB3%2FxYz9#a;b", []string{"aB3%2FxYz9", "aB3/xYz9"}, []string{"name", "false", "verify_token"}},
		{"not netrc", "The default password should never be printed", []string{"The default password should never be printed"}, []string{"should"}},
		{"netrc with quotes", "machine h\n password \"p4ss w0rd\"\n", []string{"p4ss w0rd"}, nil},
		{"pgpass with escapes", `db:5432:my shop:app:p4\:ss\\w`, []string{`p4\:ss\\w`, `p4:ss\w`}, []string{"my shop"}},
		{
			"XML of .NET", "\ufeff<configuration><add key=\"ClearTextPassword\" value='33f!!lloppa'/><add name=\"db\" connectionString=\"Server=db;Password=Zk39dkwlq\"/><password><![CDATA[p4ss<w0rd!]]></password><token>p4ss&amp;w0rd!</token><machine useCookie=\"true\" validationKey=\"AutoGenerate\" publicKeyToken=\"null\"/></configuration>",
			[]string{"33f!!lloppa", "Zk39dkwlq", "p4ss<w0rd!", "p4ss&w0rd!"},
			[]string{"Server=db", "true", "AutoGenerate", "ClearTextPassword"},
		},
		{"a passphrase with a colon", "my dog: 4 legs", []string{"my dog: 4 legs"}, []string{"4 legs", "my dog"}},
		{"lines that begin like YAML", "abc: [x1y\nhunter2-hunter2\n", []string{"hunter2-hunter2", "abc: [x1y"}, []string{"abc: y"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := NewRedactor([]byte(tc.value))
			for _, s := range tc.hides {
				for _, text := range []string{s, "x " + s + "\n"} {
					got := byteByByte(t, r, text)
					// If a key is in base64 twice, 54 characters of its boundary stay readable.
					if !strings.Contains(got, Mask) || strings.Contains(got, s) || longestShared(got, s) > 60 {
						t.Fatalf("%q became %q", text, got)
					}
				}
			}
			for _, s := range tc.remains {
				if got := byteByByte(t, r, s); got != s {
					t.Errorf("%q became %q", s, got)
				}
			}
		})
	}
}

// TestPairsStayAsTheyStand checks that only the values of pairs are masked when a tool prints the whole secret.
func TestPairsStayAsTheyStand(t *testing.T) {
	for name, tc := range map[string]struct{ value, want string }{
		"environment": {
			"PASSWORD=hunter22\nDEBUG=true\nHOST=db.internal\nMODE=x\nTOKEN=abcd1234efgh\nREGION=eu\n",
			"PASSWORD=***\nDEBUG=true\nHOST=db.internal\nMODE=x\nTOKEN=***\nREGION=eu\n",
		},
		"exported": {
			"export API_TOKEN='abcd1234efgh'\nexport REGION=eu-west-1\n# of the team\nexport DB_PASSWORD=\"hunter22\"\nRETRIES=3\n",
			"export API_TOKEN='***'\nexport REGION=eu-west-1\n***\nexport DB_PASSWORD=\"***\"\nRETRIES=3\n",
		},
		"credentials of AWS": {
			"[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCY\nregion = us-east-1\n[profile prod-1]\nrole = x\naws_secret_access_key = 0JalrXUtnFEMI/K7MDENG/bPxRfiCZ\n",
			"[default]\naws_access_key_id = ***\naws_secret_access_key = ***\nregion = us-east-1\n[profile prod-1]\nrole = x\naws_secret_access_key = ***\n",
		},
		"pairs before others": {
			"user = builder\nabcd1234efgh\nijkl5678mnop\nmode = x\nqrst9012uvwx\n",
			"user = builder\n***\nmode = x\n***\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRedactor([]byte(tc.value))
			for form, as := range map[string]func(string) string{
				"as it is": func(s string) string { return s },
				"in JSON":  func(s string) string { return jsonText(t, s, "") },
				"for URLs": func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), url.QueryEscape(Mask), Mask) },
			} {
				if got, want := byteByByte(t, r, as(tc.value)), as(tc.want); got != want {
					t.Errorf("%s:\n%s\nwant\n%s", form, got, want)
				}
			}
			got := byteByByte(t, r, b64(tc.value))
			for _, line := range strings.Split(tc.value, "\n") {
				_, value, _ := strings.Cut(line, "=")
				if value = strings.Trim(value, ` '"`); !strings.Contains(tc.want, line) && leftOf(got, value) > 4 {
					t.Errorf("in base64, %q stays readable: %s", value, got)
				}
			}
		})
	}
}

// longestShared returns the length of the longest text that is in both a and b.
func longestShared(a, b string) int {
	longest := 0
	for i := range a {
		for i+longest < len(a) && strings.Contains(b, a[i:i+longest+1]) {
			longest++
		}
	}
	return longest
}

// TestStructuresLeakInNoForm prints structures as programs do, and searches the masked output for parts of secrets, decoded too.
func TestStructuresLeakInNoForm(t *testing.T) {
	key := randomPEM(1200, 8)
	for name, value := range map[string]string{"service account": serviceAccount(t, key, "  "), "kubeconfig": kubeconfigOf(key)} {
		r := NewRedactor([]byte(value))
		for form, text := range map[string]string{
			"as it is": value, "CRLF": strings.ReplaceAll(value, "\n", "\r\n"), "in one line": strings.ReplaceAll(value, "\n", ""),
			"base64": b64(value), "base64 in lines": wrapped(b64(value), 76, ""), "base64 in short lines": wrapped(b64(value), 64, "  "),
			"base64url": base64.URLEncoding.EncodeToString([]byte(value)), "base64 in base64": b64(b64(value)),
			"JSON": jsonText(t, value, ""), "JSON in JSON": jsonText(t, jsonText(t, value, ""), ""),
			"URL": url.QueryEscape(value), "URL in URL": url.QueryEscape(url.QueryEscape(value)),
			"a secret's manifest": fmt.Sprintf("data:\n  f: %s\n", b64(value)), "an object": jsonText(t, map[string]string{"f": b64(value)}, " "),
			"key": key, "key in base64": b64(key), "key in hex": hex.EncodeToString([]byte(key)), "quoted": "'" + strings.ReplaceAll(value, "'", `'"'"'`) + "'",
		} {
			got := byteByByte(t, r, text)
			if !strings.Contains(got, Mask) {
				t.Errorf("%s, %s: %.100q…", name, form, got)
			}
			for _, canary := range append(strings.Split(strings.TrimSpace(key), "\n")[1:], token) {
				if strings.HasPrefix(canary, "-----") || name == "service account" && canary == token {
					continue
				}
				if left := leftOf(got, canary); left > 11 {
					t.Fatalf("%s, %s: %d bytes of %q are in %q", name, form, left, canary, got)
				}
			}
		}
	}
}

// leftOf returns the length of the longest part of a secret in a text, or in a text that the text encodes.
func leftOf(text, value string) int {
	texts := []string{text}
	for depth := 0; depth < 2; depth++ {
		var inner []string
		for _, s := range texts {
			if u, err := url.QueryUnescape(s); err == nil && u != s {
				inner = append(inner, u)
			}
			flat := strings.NewReplacer("-", "+", "_", "/", "\n", "", "\r", "", " ", "").Replace(s)
			for _, run := range strings.FieldsFunc(flat, func(r rune) bool { return r >= 0x80 || !isBase64(byte(r)) }) {
				for shift := range 4 {
					part := run[min(shift, len(run)):]
					if raw, _ := base64.RawStdEncoding.DecodeString(part[:len(part)/4*4]); len(raw) > 11 {
						inner = append(inner, string(raw))
					}
				}
			}
		}
		texts = append(texts, inner...)
	}
	longest := 0
	for _, s := range texts {
		longest = max(longest, longestShared(value, s))
	}
	return longest
}

// TestWordsOfAStructureStayReadable draws structures, and checks that their tokens are masked but their words aren't.
func TestWordsOfAStructureStayReadable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"default", "kubernetes", "kube-system", "admin", "web-1", "eu-west-1", "Config", "v1beta1", "my_project"})
		token := rapid.StringMatching(`[A-Za-z][0-9][A-Za-z0-9]{4}[0-9]{2}[A-Za-z0-9]{14,40}`)
		fields, words, tokens := map[string]any{}, []string{}, []string{}
		for range rapid.IntRange(1, 6).Draw(t, "fields") {
			w, s := word.Draw(t, "word"), token.Draw(t, "token")
			nested := map[string]any{rapid.SampledFrom([]string{"name", "namespace", "cluster", "userName", "kind"}).Draw(t, "name"): w}
			nested[rapid.SampledFrom([]string{"token", "client-secret", "data", "x", "API_KEY"}).Draw(t, "key")] = s
			fields[rapid.SampledFrom([]string{"users", "a", "contexts", "spec"}).Draw(t, "field")+fmt.Sprint(len(tokens))] = []any{nested}
			words, tokens = append(words, w), append(tokens, s)
		}
		value := jsonText(&testing.T{}, fields, rapid.SampledFrom([]string{"", "  "}).Draw(t, "indent"))
		r := NewRedactor([]byte(value))
		log := strings.Join(words, " ")
		if got := r.String(log); got != log {
			t.Fatalf("with the secret %s, %q became %q", value, log, got)
		}
		for _, s := range tokens {
			if got := r.String("<" + s + ">"); got != "<***>" {
				t.Fatalf("with the secret %s, <%q> became %q, want <***>", value, s, got)
			}
		}
	})
}

// TestLeavesOfOneLine checks that the size of the index grows with the value,
// however the value is written, and that equal leaves take as much as one.
func TestLeavesOfOneLine(t *testing.T) {
	size := func(value string) int {
		var b builder
		b.add([]byte(value))
		return len(b.array)
	}
	flow := func(n int, item string) string {
		var items []string
		for i := range n {
			items = append(items, fmt.Sprintf(item, i))
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	for name, item := range map[string]string{
		"flow":             `'item_%d': 'välue!'`,
		"flow, not quoted": `item_%d: vä lue!`,
	} {
		t.Run(name, func(t *testing.T) {
			if n := size(flow(200, item)); n > 2*maxComposed {
				t.Errorf("200 leaves take %d bytes, want at most %d", n, 2*maxComposed)
			}
		})
	}
	t.Run("alike", func(t *testing.T) {
		one, many := size(`[{"password":"changeme1"}]`), size("["+strings.Repeat(`{"password":"changeme1"},`, 2000)+`{}]`)
		if many > one {
			t.Errorf("one leaf takes %d bytes, and 2,000 equal leaves take %d", one, many)
		}
	})
	t.Run("with its key", func(t *testing.T) {
		got := NewRedactor([]byte(flow(3, `'user_%d': 'ab cd!'`))).String("seen: 'user_1': 'ab cd!' and 'ab cd!'")
		if want := "seen: *** and 'ab cd!'"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
