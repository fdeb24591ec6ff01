# Sourced by the shell tests: an emulator of our own on free loopback ports, and certificates for it.

# One key, server.key, and certificates of ca.pem for it: server.pem for localhost, address.pem for 127.0.0.1 too (where no file
# names localhost, Node finds no such host), expired.pem.
certificates() { # folder
    signed() { # name alternative-names
        openssl x509 -req -in "$dir/server.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 2 \
            -extfile <(echo "subjectAltName=$2") -out "$dir/$1.pem" 2>/dev/null
    }
    local dir=$1
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=ringhub test authority' \
        -keyout "$dir/ca.key" -out "$dir/ca.pem" 2>/dev/null || return 1
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=localhost' \
        -keyout "$dir/server.key" -out "$dir/server.csr" 2>/dev/null || return 1
    signed server 'DNS:localhost' && signed address 'DNS:localhost,IP:127.0.0.1' || return 1
    mkdir -p "$dir/ca.d" && : > "$dir/ca.d/index" && echo 1000 > "$dir/ca.d/serial"
    cat > "$dir/ca.conf" <<CONF
[ca]
default_ca = one
[one]
new_certs_dir = $dir/ca.d
database = $dir/ca.d/index
serial = $dir/ca.d/serial
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = DNS:localhost
CONF
    openssl ca -batch -config "$dir/ca.conf" -cert "$dir/ca.pem" -keyfile "$dir/ca.key" -in "$dir/server.csr" \
        -startdate 20200101000000Z -enddate 20200102000000Z -notext -out "$dir/expired.pem" 2>/dev/null
}

# Sets emulator_pid, plain_port and, when it serves TLS, tls_port.
emulator_start() { # folder option...
    local dir=$1 i
    shift
    : > "$dir/emulator.out"
    "$ringhub" emulator --listen 127.0.0.1:0 "$@" > "$dir/emulator.out" 2> "$dir/emulator.err" &
    emulator_pid=$!
    for i in $(seq 100); do
        plain_port=$(sed -nE 's/^listening amqp .*:([0-9]+)$/\1/p' "$dir/emulator.out")
        tls_port=$(sed -nE 's/^listening amqps .*:([0-9]+)$/\1/p' "$dir/emulator.out")
        case " $* " in *" --tls "*) [ -n "$plain_port" ] && [ -n "$tls_port" ] && return 0 ;; *) [ -n "$plain_port" ] && return 0 ;; esac
        kill -0 "$emulator_pid" 2>/dev/null || break
        sleep 0.1
    done
    echo "the emulator did not start:"; cat "$dir/emulator.err"
    return 1
}

emulator_stop() { # folder; answers its exit status
    kill -TERM "$emulator_pid" 2>/dev/null
    wait "$emulator_pid"
}
