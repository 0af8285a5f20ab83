//! The rows of [`super::Reason`]: `Variant name code fault layer http-status`, then what, why, fix.
//!
//! Codes by thousand: 1 the process and its configuration, 2 clock and DNS, 3 admission, schedules and blocks,
//! 4 users and devices, 5 what is remembered, 6 requests and services, 7 the operators' interface.

macro_rules! rows {
    ($table:ident) => {
        $table! {
            PortInUse port_in_use 1101 Operator Process 500
                "A port that is to be listened on is taken." "Another process holds the same address and port."
                "Stop that process, or name another address or port in the configuration.";
            ConfigSyntax config_syntax 1300 Operator Config 400
                "The configuration is not valid TOML." "It cannot be read past the place shown."
                "Repair the line shown, then run `wandergate check`.";
            ConfigUnknownKey config_unknown_key 1301 Operator Config 400
                "The configuration has a key that does not exist." "Unknown keys are errors, so that a typing mistake cannot switch a protection off."
                "Use the key suggested, or remove the line.";
            ConfigInvalidValue config_invalid_value 1302 Operator Config 400
                "A value in the configuration is not possible." "It has the wrong type, or lies outside of its bounds."
                "Give a value within the bounds shown.";
            ConfigMissingKey config_missing_key 1303 Operator Config 400
                "The configuration lacks a key that is needed." "There is no default that would be safe."
                "Add the key shown.";
            ConfigConflict config_conflict 1304 Operator Config 400
                "Two parts of the configuration exclude each other." "Both cannot hold at the same time."
                "Change one of the two places shown.";
            WiringEdgeInside wiring_edge_inside 1311 Operator Config 400
                "An edge shares its host with a part of the inside." "What the outside world touches stands apart, so that whoever breaks into an edge is not inside already."
                "Give the edge a host of its own.";
            WiringOpsReserved wiring_ops_reserved 1312 Operator Config 400
                "The wiring would open the operators' service to an edge." "What commands the gateway is reached by its Unix socket or loopback only."
                "Remove that line, and do not call another service ops.";
            WiringPort wiring_port 1313 Operator Config 400
                "Two places of the wiring claim one port." "A port number has one meaning, so that a rule about it says what passes: members to a hub, hub to hub, or one function towards the outside."
                "Give each a port of its own.";
            RulesDiffer rules_differ 1314 Operator Config 409
                "The rules of a host are not those of the wiring." "Either the wiring was changed after the rules were made, or somebody changed the rules."
                "Make them anew: `wandergate fabric rules HOST --wiring FILE`, then load them with `nft -f`.";
            KeyFileReadable key_file_readable 1401 Operator Process 500
                "A key file can be read by others." "Whoever reads it can compute every address."
                "Run `chmod 600` on it, and rotate the key if somebody may have read it.";
            EpochKeyMissing epoch_key_missing 1402 Operator Process 500
                "The key of this epoch is missing." "This role holds the current and the next epoch's keys only, and got no new ones from the rotator in time."
                "See that the rotator runs and is reached, or start it.";
            InternalError internal_error 1901 Ours Process 500
                "Something went wrong on our side." "A part of the gateway failed in a way that it should not."
                "Try again, and give the operator the reference shown if it persists.";

            ClockSkew clock_skew 2301 Operator Process 503
                "The clock of this machine is off." "Addresses are computed from the time, so a wrong clock opens the wrong ones."
                "Correct it, for example by `timedatectl set-ntp true`.";
            ZoneForeign zone_foreign 2401 Client Dns 421
                "The name lies outside of the zones served here." "This server is authoritative for its own zones and resolves for nobody."
                "Ask a resolver.";
            QueryMalformed query_malformed 2402 Client Dns 400
                "The DNS query cannot be read." "Its bytes do not form one well-formed question."
                "Send one question per query, as RFC 1035 describes it.";
            QtypeRefused qtype_refused 2403 Client Dns 403
                "Queries of this type are not answered." "Zone transfers, updates and the like are closed to everybody."
                "Ask for A, AAAA, HTTPS or SRV.";
            DnsRate dns_rate 2404 Client Dns 429
                "Too many DNS queries came from this network." "A budget per network keeps the server from being used against others."
                "Respect the answers' times to live, or repeat over TCP.";

            NoWindow no_window 3001 Client Edge 404
                "Nothing was ever leased at this address." "Only an address that is leased now answers, all others are silent."
                "Resolve the private name again. An address that was guessed or scanned cannot be repaired.";
            Decoy decoy 3002 Client Edge 404
                "This address is a decoy." "It is given to whoever asks for a name that does not exist, and leads to no service."
                "Check the private name for typing mistakes.";
            LeaseExpired lease_expired 3003 Client Edge 404
                "The lease of this address has expired." "Its window and its grace are over, and the address has moved on."
                "Resolve the private name again.";
            Tombstone tombstone 3004 Client Edge 404
                "The lease of this address has just ended." "New connections are reset for a while, so that a client with an old answer moves on at once."
                "Resolve the private name again and connect to the new address.";
            Blocked blocked 3005 Client Edge 403
                "This source is blocked." "It broke a rule earlier, and the block has not run out."
                "Wait for its end, or ask the operator to lift it.";
            LeaseBudget lease_budget 3006 Client Edge 429
                "Too many connections in a short time to this address." "Each lease has a budget of new connections, so that one leaked address floods one lane only."
                "Keep connections open and use them again, or wait a second.";
            LeaseConcurrency lease_concurrency 3007 Client Edge 429
                "Too many connections at once to this address." "Each lease may hold a limited number of open connections."
                "Close connections that are not needed.";
            HandshakeTimeout handshake_timeout 3008 Client Edge 408
                "The TLS handshake took too long." "A connection that does not finish it in time would only occupy a place."
                "Try again over a better link.";
            HandshakeFailed handshake_failed 3009 Client Edge 400
                "The TLS handshake failed." "The two ends found no common version or cipher, or one of them broke the protocol."
                "Use TLS 1.2 or 1.3, and trust the gateway's certificate authority.";
            NotTls not_tls 3010 Client Edge 400
                "The connection did not begin with TLS." "This service is reached over TLS only."
                "Use https, or the TLS variant of the protocol.";
            SniMissing sni_missing 3011 Client Edge 421
                "The TLS client named no server." "This service asks for the private name, and the handshake did not carry one."
                "Connect by the private name, not by the address.";
            NameMismatch name_mismatch 3012 Client Edge 421
                "The name does not belong to this address." "A private name is honored on the address of its own grant only."
                "Resolve the private name again and connect to what it answers.";
            AmbiguousAddress ambiguous_address 3013 Client Edge 409
                "Several grants share this address." "The service has no identity inside the connection that would tell them apart."
                "Set `auth = \"name\"` for the service, or use a larger pool.";
            AuthRequired auth_required 3014 Client Edge 401
                "The address alone is not enough for this service." "The service asks for an identity inside the connection as well."
                "Connect by the private name, or with the device's key.";
            HostMismatch host_mismatch 3015 Client Edge 421
                "The request is for a host that is not served on this connection." "The host of each request has to be the name of the handshake."
                "Open a connection of its own for that host.";
            Revoked revoked 3016 Client Edge 403
                "The grant behind this address was revoked." "Access of the device or the user to this service has ended."
                "Ask the operator if that is a mistake.";
            RateLease rate_lease 3017 Client Request 429
                "Too many requests in a short time over this lease." "Each lease has a budget of requests, which is not shared with others."
                "Wait as long as Retry-After says, then send more slowly.";
            RatePrefix rate_prefix 3018 Client Edge 429
                "Too much came from this network in a short time." "Networks have budgets at several sizes, so that a flood from one does not reach the others."
                "Wait as long as Retry-After says, then send more slowly.";
            Overload overload 3019 Ours Edge 503
                "The gateway is at its limit." "It refuses new work so that what is under way gets done."
                "Try again in a few seconds, with growing pauses.";
            DrainingEdge draining_edge 3020 Ours Edge 503
                "This gateway is going down for maintenance." "It finishes what is under way and accepts nothing new."
                "Connect again, and another gateway or the restarted one answers.";
            SessionOver session_over 3021 Client Edge 408
                "The connection reached its greatest age." "An old connection outlives its lease until the service's `max_session`, and no longer."
                "Resolve the private name again and connect anew.";
            RevokedLive revoked_live 3022 Client Edge 403
                "An open connection was closed because its grant was revoked." "Revocation ends what is under way, too."
                "Ask the operator if that is a mistake.";
            OverloadShare overload_share 3030 Client Edge 429
                "This lease holds as much as it may while others need places." "What is left is divided among all leases, so that one of them, or a crowd, cannot take the last of it."
                "Close connections that are not needed, or try again in a few seconds.";
            OverloadDelay overload_delay 3031 Client Edge 429
                "The call was to be held back, and there is no room to wait." "Calls that a verdict delays occupy places. These are bounded in all, per lease and per source, and beyond that a delay is a refusal."
                "Try again later, and more slowly.";
            OverloadNewcomer overload_newcomer 3032 Ours Edge 503
                "The gateway is under pressure, and takes no new users for a moment." "Those who are connected are served first. The level of pressure stands in `wandergate status`."
                "Try again in a few seconds, with growing pauses.";
            RequestConcurrency request_concurrency 3033 Client Request 429
                "Too many requests at once over this lease." "Each lease may have a limited number of requests under way."
                "Wait for answers before sending more.";
            KeyRequired key_required 3034 Client Edge 401
                "The device's key was not shown." "This service asks for a client certificate of the key with which the device is enrolled."
                "Give the client its certificate and key, as in `curl --cert device.crt --key device.key`.";
            KeyMismatch key_mismatch 3035 Client Edge 403
                "Another key was shown than the device is enrolled with." "Only the Ed25519 key of the very device counts, whoever signed its certificate."
                "Use the key that was made when the device was enrolled, or set the device's key anew.";
            DatagramDropped datagram_dropped 3041 Ours Edge 503
                "A datagram found no room on its way." "Datagrams never wait for each other: what comes faster than the service or the client takes it is lost, as on any network."
                "Send more slowly, or let the protocol above repeat what was lost.";
            SourceForged source_forged 3042 Client Edge 403
                "A datagram came from a source that nobody can have." "Its port is 0, or its address is a private one of our own, so an answer would reach nobody or run in circles."
                "Nothing, if it was not you. Otherwise send from an address of your own.";
            AnswerWithheld answer_withheld 3043 Client Edge 429
                "An answer was too large for a source that may be forged." "Until a source has sent again after an answer it gets three times what it sent, and beyond that a small allowance of its lease, so that nobody is flooded through us."
                "Repeat the question from the same port, or ask over TCP.";
            ProxyMissing proxy_missing 3061 Operator Edge 400
                "A connection of a trusted balancer did not begin with a PROXY header of version 2." "From the networks in `trusted_proxies` nothing else is taken: without the header nobody knows who connects, and to which address. It may have come too slowly, or be one of version 1."
                "Let the balancer send version 2 (HAProxy: `send-proxy-v2`), or take its network out of `trusted_proxies`.";
            ProxyMalformed proxy_malformed 3062 Operator Edge 400
                "The PROXY header of a trusted balancer can't be taken." "It is cut, too long, has a wrong checksum, or names no two addresses of a TCP connection."
                "See that the balancer passes on TCP over IPv4 or IPv6, and leaves the private address as the destination.";
            ScheduleInvalid schedule_invalid 3201 Operator Ops 422
                "The schedule is not possible." "Its period, lead, grace and time to live do not fit together."
                "Take the least value shown, or longer.";

            InviteUnknown invite_unknown 4101 Client Registration 403
                "There is no such invite." "It was mistyped, or withdrawn."
                "Copy the whole invite, or ask the operator for a new one.";
            InviteUsed invite_used 4102 Client Registration 410
                "This invite was used already." "An invite enrolls one device, once."
                "Ask for a new invite. If it was not you who used it, tell the operator.";
            InviteExpired invite_expired 4103 Client Registration 410
                "This invite has expired." "Invites are short-lived, so that a lost one is worth nothing."
                "Ask the operator for a new one.";
            InviteRequired invite_required 4104 Client Registration 403
                "Registration here needs an invite." "The operator has not opened it to everybody."
                "Ask the operator for an invite.";
            RegistrationClosed registration_closed 4105 Operator Registration 403
                "Registration is closed." "The operator accepts no new devices at present."
                "Ask the operator when it opens.";
            RegistrationPaused registration_paused 4106 Ours Registration 503
                "Registration is paused." "It is shed first under attack, so that enrolled users are not touched."
                "Try again in a few minutes.";
            UserUnknown user_unknown 4107 Client Renewal 403
                "The user of this device does not exist." "The account was removed."
                "Ask the operator.";
            UserRevoked user_revoked 4108 Client Renewal 403
                "Access of this user has ended." "The operator revoked it."
                "Ask the operator if that is a mistake.";
            ChallengeInvalid challenge_invalid 4110 Client Registration 400
                "The challenge is not one of ours." "Its seal does not fit, or it was meant for another purpose."
                "Ask for a new challenge and answer that.";
            ChallengeExpired challenge_expired 4111 Client Registration 400
                "The challenge has expired." "It has to be answered within the time that it names."
                "Ask for a new challenge and answer it in time.";
            ChallengeReplayed challenge_replayed 4112 Client Registration 409
                "The challenge was answered already." "Each can be used once."
                "Ask for a new challenge.";
            ProofWrong proof_wrong 4113 Client Registration 403
                "The proof of work is wrong." "Its hash does not have the difficulty that the challenge asks for."
                "Compute it again, as the challenge describes.";
            KeyInvalid key_invalid 4114 Client Registration 400
                "The public key cannot be used." "It is not a well-formed key of a kind that is accepted."
                "Send an Ed25519 public key in the form that the API describes.";
            KeyProofWrong key_proof_wrong 4115 Client Registration 403
                "The signature by the device's key does not fit." "It has to cover this very challenge, by the private half of the key that is enrolled."
                "Sign the challenge again with the right key.";
            KeyAlreadyEnrolled key_already_enrolled 4116 Client Registration 409
                "This key is enrolled already." "A key stands for one device."
                "Make a new key pair on the device and enroll that.";
            DeviceNameTaken device_name_taken 4117 Client Registration 409
                "This user has a device of that name already." "Names tell a user's devices apart."
                "Choose another name.";
            DeviceLimit device_limit 4118 Client Registration 409
                "This user has as many devices as a user may have." "The number of devices per user is bounded."
                "Revoke a device that is no longer used.";
            UserNameTaken user_name_taken 4119 Client Registration 409
                "There is a user of that name already." "Open registration makes new users only, and a name stands for one."
                "Choose another name, or ask the operator for an invite if the name is yours.";
            RegistrationRatePrefix registration_rate_prefix 4120 Client Registration 429
                "Too many registrations came from this network." "Networks have budgets at several sizes, so that one cannot take the door from the others."
                "Wait as long as Retry-After says.";
            RegistrationRateGlobal registration_rate_global 4121 Ours Registration 429
                "Too many registrations at present." "All of registration has one budget, apart from what users need."
                "Wait as long as Retry-After says.";
            RegistrationBusy registration_busy 4122 Ours Registration 503
                "Registration is busy." "All its places are taken, and it holds nobody in a queue without bound."
                "Try again in a few seconds.";
            DeviceUnknown device_unknown 4201 Client Renewal 403
                "This device is not enrolled." "Its key is not known here, or was removed."
                "Enroll the device anew with an invite.";
            DeviceRevoked device_revoked 4202 Client Renewal 403
                "This device was revoked." "The operator or its user withdrew its key."
                "Enroll the device anew with an invite, if that is allowed.";

            StoreUnreachable store_unreachable 5201 Operator State 503
                "The store cannot be reached." "Nothing new can be remembered now. What is known is served from the last snapshot."
                "See that the store runs and is reached.";
            StoreCorrupt store_corrupt 5202 Operator State 500
                "The store is damaged." "What it holds does not fit its checksums."
                "Restore the last backup. The last snapshot is served until then.";
            StoreFull store_full 5203 Operator State 507
                "The store is full." "The disk or the bound of a table is reached, so nothing new can be remembered."
                "Make room on the disk, or remove what is not needed.";
            StoreBusy store_busy 5204 Ours State 503
                "The store is busy." "A change waited longer for its turn than is allowed. It was not made."
                "Make the change again.";
            AuditBroken audit_broken 5205 Operator State 500
                "The audit chain is broken." "An entry does not fit the hash of the one before it, so somebody or something altered it."
                "Keep the file for examination, and compare it with a backup.";

            RequestMalformed request_malformed 6101 Client Request 400
                "The request cannot be read." "Its bytes break the protocol, or leave open where it ends."
                "Send it as the protocol's specification describes.";
            HeaderTooLarge header_too_large 6102 Client Request 431
                "The head of the request is too large." "Size and number of header fields are bounded."
                "Send fewer or shorter header fields, for example fewer cookies.";
            UriTooLong uri_too_long 6103 Client Request 414
                "The address in the request is too long." "The length of a request line is bounded."
                "Send the long part in the body.";
            BodyTooLarge body_too_large 6104 Client Request 413
                "The body of the request is too large." "The service's bound on bodies is reached."
                "Send less, or ask the operator to raise `body_max`.";
            MethodRefused method_refused 6105 Client Request 405
                "This method is not forwarded." "CONNECT and TRACE, and what the service does not allow, end here."
                "Use a method that the service offers.";
            RequestTimeout request_timeout 6106 Client Request 408
                "The request arrived too slowly." "Head and body have to arrive within their time."
                "Send it again over a better link.";
            IdleTimeout idle_timeout 6107 Client Request 408
                "The connection was idle for too long." "Places are given to those who use them."
                "Connect again when there is something to send.";
            Abandoned abandoned 6108 Ours Request 500
                "The call ended without an outcome." "Its task was canceled before it reported one, mostly because the client left."
                "Nothing, unless it is frequent without clients leaving. Report it then.";
            FrameFlood frame_flood 6109 Client Request 429
                "Too many frames came that ask for nothing." "HTTP/2 has frames beside requests (pings, settings, windows, resets); a client needs few of them for each answer."
                "Use a client that keeps to RFC 9113; if this one does, report it with its name.";
            Maintenance maintenance 6110 Operator Request 503
                "The service is under maintenance." "Whoever runs it has said so, and takes no requests until it is over."
                "Try again later.";
            ServiceUnknown service_unknown 6201 Operator Upstream 502
                "There is no such service." "A grant names a service that the configuration does not have."
                "Add the service, or remove the grant.";
            ServiceUnreachable service_unreachable 6202 Upstream Upstream 502
                "The service cannot be reached." "Nothing answers on its address behind the local hub."
                "See that the service runs, and that its address in the configuration is right.";
            ServiceTimeout service_timeout 6203 Upstream Upstream 504
                "The service did not answer in time." "It was reached, and then took longer than is allowed."
                "See why the service is slow, or raise its timeout.";
            UpstreamClosed upstream_closed 6204 Upstream Upstream 502
                "The service closed the connection before its answer was whole." "It failed, or broke the protocol, in the middle."
                "Look into the log of the service.";
            LinkDown link_down 6205 Ours Upstream 503
                "The fabric has no link to this service." "No local hub that offers it is connected at present."
                "See that the service's local hub runs and reaches the main hub.";
            NotPermitted not_permitted 6206 Operator Upstream 502
                "The wiring does not permit this connection." "Who may offer or open which service is written down, and the default is nobody."
                "Add the permission to the wiring, if it is meant to be.";
            HubBusy hub_busy 6207 Ours Upstream 503
                "The hub is at its limit." "Streams and bytes under way are bounded on every link."
                "Try again in a few seconds.";
            LaneRefused lane_refused 6208 Ours Upstream 503
                "A lane of a link was refused." "A link has six lanes, each of its own class, and this one was taken or unknown."
                "Run the same version on both ends.";

            UnknownUser unknown_user 7101 Client Ops 404
                "There is no such user." "No user has that name or number."
                "Run `wandergate user ls`.";
            UnknownService unknown_service 7102 Client Ops 404
                "There is no service of that name." "The configuration and the store have none."
                "Run `wandergate service ls`.";
            UnknownSchedule unknown_schedule 7103 Client Ops 404
                "There is no schedule of that name." "The configuration and the store have none."
                "Run `wandergate schedule ls`.";
            UnknownTarget unknown_target 7104 Client Ops 404
                "Nothing is known about that target." "It is no address, source, user, device, label, request or code that was seen here."
                "Check it for typing mistakes. Old entries are forgotten.";
            NameInvalid name_invalid 7105 Client Ops 422
                "The name is not possible." "Names are short, of lower-case letters, digits and hyphens, and begin with a letter."
                "Choose another name.";
            AlreadyExists already_exists 7106 Client Ops 409
                "Something of that name exists already." "Names are unique within their kind."
                "Choose another name, or change the one that exists.";
            PreconditionFailed precondition_failed 7107 Client Ops 412
                "It was changed by somebody else in the meantime." "The version named in If-Match is not the present one."
                "Read it again and repeat the change on that.";
            OwnedByConfig owned_by_config 7108 Client Ops 409
                "This is defined in the configuration file." "What the file defines is changed there, so that file and gateway agree."
                "Change it in the file, then send the process SIGHUP.";
            NotAuthorized not_authorized 7109 Client Ops 401
                "The request is not authorized." "It carries no operator's token, or a wrong one."
                "Send the token from the token file, or use the Unix socket.";
            BodyInvalid body_invalid 7110 Client Ops 422
                "The body of the request does not fit." "A member is missing, unknown or of the wrong type."
                "See the place shown, and the OpenAPI document.";
            MethodNotAllowed method_not_allowed 7111 Client Ops 405
                "This path does not know that method." "The Allow header lists those that it does."
                "Use one of those.";
            NotFound not_found 7112 Client Ops 404
                "There is nothing at this path." "No resource of the API has that path."
                "See the OpenAPI document for the paths that exist.";
            NeedsConfirmation needs_confirmation 7113 Client Ops 428
                "This needs a confirmation." "It reaches many users, or cannot be undone."
                "Repeat it with the confirmation that is named.";
            UnknownHub unknown_hub 7114 Client Ops 404
                "There is no such hub." "The wiring names no hub instance like that, or this process knows of none."
                "Run `wandergate hub ls`.";
            StepDownElsewhere step_down_elsewhere 7115 Client Ops 409
                "That hub runs in another process." "A hub steps down only where it runs: nobody may command it through the fabric."
                "Repeat it on its own computer, with --socket of its control socket.";
            StepDownRefused step_down_refused 7116 Client Ops 409
                "That hub cannot step down now." "It is not active, or no other instance of its plane could take over."
                "Run `wandergate hub ls`, and see that another instance of the plane is standby.";
        }
    };
}

pub(super) use rows;
